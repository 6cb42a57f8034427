-- Whoever moves stock locks its warehouse first.
CREATE TABLE {ns}warehouses (
    name TEXT PRIMARY KEY
);

CREATE TABLE {ns}stock_items (
    sku      TEXT PRIMARY KEY,
    on_hand  BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    CHECK (reserved BETWEEN 0 AND on_hand)
) WITH (fillfactor = 25);          -- hot rows: room for their next versions on the same page

CREATE TABLE {ns}reservations (
    order_id   TEXT PRIMARY KEY,
    state      TEXT NOT NULL,      -- held, firm, committed, released, expired, refused
    expires_at BIGINT              -- when a hold expires, in microseconds since 1970
) WITH (fillfactor = 80);
CREATE INDEX {prefix}reservations_by_expiry ON {ns}reservations (expires_at) WHERE state = 'held';

CREATE TABLE {ns}reservation_lines (
    order_id TEXT NOT NULL,
    sku      TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, sku)
);

-- Every change of the stock on hand. The sum of a SKU's movements is its stock on hand.
CREATE TABLE {ns}stock_movements (
    movement_key TEXT PRIMARY KEY,
    sku          TEXT NOT NULL,
    quantity     BIGINT NOT NULL,
    moved_at     BIGINT NOT NULL
);

INSERT INTO {ns}warehouses (name) VALUES ('main');

-- Seed: a million pieces of each SKU, except of the last three.
INSERT INTO {ns}stock_items (sku, on_hand, reserved)
SELECT 'SKU-' || lpad(i::text, 3, '0'), CASE i WHEN 198 THEN 20 WHEN 199 THEN 10 WHEN 200 THEN 5 ELSE 1000000 END, 0
FROM generate_series(1, 200) AS i;

INSERT INTO {ns}stock_movements (movement_key, sku, quantity, moved_at)
SELECT 'opening:' || sku, sku, on_hand, 0 FROM {ns}stock_items;
