-- Whoever moves stock locks its warehouse first.
CREATE TABLE {ns}warehouses (
    name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE {ns}stock_items (
    sku      TEXT PRIMARY KEY,
    on_hand  INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    CHECK (reserved BETWEEN 0 AND on_hand)
) STRICT, WITHOUT ROWID;

CREATE TABLE {ns}reservations (
    order_id   TEXT PRIMARY KEY,
    state      TEXT NOT NULL,      -- held, firm, committed, released, expired, refused
    expires_at INTEGER             -- when a hold expires, in microseconds since 1970
) STRICT, WITHOUT ROWID;
CREATE INDEX {prefix}reservations_by_expiry ON {prefix}reservations (expires_at) WHERE state = 'held';

CREATE TABLE {ns}reservation_lines (
    order_id TEXT NOT NULL,
    sku      TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, sku)
) STRICT, WITHOUT ROWID;

-- Every change of the stock on hand. The sum of a SKU's movements is its stock on hand.
CREATE TABLE {ns}stock_movements (
    movement_key TEXT PRIMARY KEY,
    sku          TEXT NOT NULL,
    quantity     INTEGER NOT NULL,
    moved_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO {ns}warehouses (name) VALUES ('main');

-- Seed: a million pieces of each SKU, except of the last three.
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
INSERT INTO {ns}stock_items (sku, on_hand, reserved)
SELECT printf('SKU-%03d', i), CASE i WHEN 198 THEN 20 WHEN 199 THEN 10 WHEN 200 THEN 5 ELSE 1000000 END, 0 FROM n;

INSERT INTO {ns}stock_movements (movement_key, sku, quantity, moved_at)
SELECT 'opening:' || sku, sku, on_hand, 0 FROM {ns}stock_items;
