-- What is known of each order. Times are the first ones, in microseconds since 1970.
CREATE TABLE {ns}fact_orders (
    order_id        TEXT PRIMARY KEY,
    placed_at       INTEGER,           -- none = OrderPlaced has not come yet, nor the next four
    customer_id     TEXT,
    currency        TEXT,
    total_minor     INTEGER,
    lines           TEXT,              -- JSON: quantity and net price by SKU
    out_of_stock_at INTEGER,
    declined_at     INTEGER,
    authorized_at   INTEGER,
    confirmed_at    INTEGER,
    dispatched_at   INTEGER,
    delivered_at    INTEGER,
    returned_at     INTEGER,
    completed_at    INTEGER,
    cancelled_at    INTEGER,
    cancel_code     TEXT,
    refunded_minor  INTEGER NOT NULL
) STRICT;
CREATE INDEX {prefix}fact_orders_placed ON {prefix}fact_orders (placed_at, order_id) WHERE placed_at IS NOT NULL;

-- The orders that were placed on a day, counted by status, by SKU, and by stage of the funnel.
CREATE TABLE {ns}daily_sales (
    generation   INTEGER NOT NULL,     -- a rebuild writes a new one
    day          TEXT NOT NULL,        -- in UTC, such as '2026-11-29'
    dimension    TEXT NOT NULL,        -- 'status', 'sku', 'stage'
    currency     TEXT NOT NULL,
    member       TEXT NOT NULL,        -- the status, the SKU, the stage
    orders       INTEGER NOT NULL,
    pieces       INTEGER NOT NULL,
    amount_minor INTEGER NOT NULL,
    PRIMARY KEY (generation, dimension, day, currency, member)
) STRICT, WITHOUT ROWID;

-- One row: which counts are live, and how far a rebuild is.
CREATE TABLE {ns}projection (
    live         INTEGER NOT NULL,     -- the generation that is shown
    building     INTEGER,              -- the generation that a rebuild writes
    last_order   TEXT NOT NULL,        -- the last order that the rebuild has counted
    facts_done   INTEGER NOT NULL,
    facts_total  INTEGER NOT NULL,
    started_at   INTEGER,
    finished_at  INTEGER,
    live_hash    TEXT,                 -- both hashes: when the last rebuild finished
    rebuilt_hash TEXT
) STRICT;
INSERT INTO {ns}projection (live, last_order, facts_done, facts_total) VALUES (1, '', 0, 0);
