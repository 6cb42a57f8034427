-- What is known of each order. Times are the first ones, in microseconds since 1970.
CREATE TABLE {ns}fact_orders (
    order_id        TEXT COLLATE "C" PRIMARY KEY, -- a rebuild compares as Rust does
    placed_at       BIGINT,            -- none = OrderPlaced has not come yet, nor the next four
    customer_id     TEXT,
    currency        TEXT,
    total_minor     BIGINT,
    lines           TEXT,              -- JSON: quantity and net price by SKU
    out_of_stock_at BIGINT,
    declined_at     BIGINT,
    authorized_at   BIGINT,
    confirmed_at    BIGINT,
    dispatched_at   BIGINT,
    delivered_at    BIGINT,
    returned_at     BIGINT,
    completed_at    BIGINT,
    cancelled_at    BIGINT,
    cancel_code     TEXT,
    refunded_minor  BIGINT NOT NULL
);
CREATE INDEX {prefix}fact_orders_placed ON {ns}fact_orders (placed_at, order_id) WHERE placed_at IS NOT NULL;

-- The orders that were placed on a day, counted by status, by SKU, and by stage of the funnel.
CREATE TABLE {ns}daily_sales (
    generation   BIGINT NOT NULL,      -- a rebuild writes a new one
    day          TEXT NOT NULL,        -- in UTC, such as '2026-11-29'
    dimension    TEXT NOT NULL,        -- 'status', 'sku', 'stage'
    currency     TEXT NOT NULL,
    member       TEXT NOT NULL,        -- the status, the SKU, the stage
    orders       BIGINT NOT NULL,
    pieces       BIGINT NOT NULL,
    amount_minor BIGINT NOT NULL,
    PRIMARY KEY (generation, dimension, day, currency, member)
);

-- One row: which counts are live, and how far a rebuild is.
CREATE TABLE {ns}projection (
    live         BIGINT NOT NULL,      -- the generation that is shown
    building     BIGINT,               -- the generation that a rebuild writes
    last_order   TEXT NOT NULL,        -- the last order that the rebuild has counted
    facts_done   BIGINT NOT NULL,
    facts_total  BIGINT NOT NULL,
    started_at   BIGINT,
    finished_at  BIGINT,
    live_hash    TEXT,                 -- both hashes: when the last rebuild finished
    rebuilt_hash TEXT
);
INSERT INTO {ns}projection (live, last_order, facts_done, facts_total) VALUES (1, '', 0, 0);
