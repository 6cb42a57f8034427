-- The read model: one row per order, written with each event of its stream.
CREATE TABLE {ns}order_view (
    order_id    TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    currency    TEXT NOT NULL,
    total_minor INTEGER NOT NULL,
    lines       TEXT NOT NULL,     -- JSON
    status      TEXT NOT NULL,
    version     INTEGER NOT NULL,  -- events of its stream that the row includes
    placed_at   INTEGER NOT NULL,  -- microseconds since 1970, as all times here
    updated_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE {ns}price_book (
    sku         TEXT NOT NULL,
    currency    TEXT NOT NULL,
    unit_minor  INTEGER NOT NULL,
    tax_percent INTEGER NOT NULL,
    PRIMARY KEY (sku, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE {ns}customers (
    customer_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Seed: 200 products, 50 customers. Prices differ so that a wrong one shows.
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200),
     currencies(code, percent) AS (VALUES ('EUR', 100), ('USD', 110), ('GBP', 86))
INSERT INTO {ns}price_book (sku, currency, unit_minor, tax_percent)
SELECT printf('SKU-%03d', i), code, (199 + i * 137 % 9000) * percent / 100, CASE WHEN i % 5 = 0 THEN 7 ELSE 19 END
FROM n, currencies;

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
INSERT INTO {ns}customers (customer_id) SELECT printf('cust-%03d', i) FROM n;
