-- The read model: one row per order, written with each event of its stream.
CREATE TABLE {ns}order_view (
    order_id    TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    currency    TEXT NOT NULL,
    total_minor BIGINT NOT NULL,
    lines       TEXT NOT NULL,     -- JSON
    status      TEXT NOT NULL,
    version     BIGINT NOT NULL,   -- events of its stream that the row includes
    placed_at   BIGINT NOT NULL,   -- microseconds since 1970, as all times here
    updated_at  BIGINT NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE {ns}price_book (
    sku         TEXT NOT NULL,
    currency    TEXT NOT NULL,
    unit_minor  BIGINT NOT NULL,
    tax_percent BIGINT NOT NULL,
    PRIMARY KEY (sku, currency)
);

CREATE TABLE {ns}customers (
    customer_id TEXT PRIMARY KEY
);

-- Seed: 200 products, 50 customers. Prices differ so that a wrong one shows.
INSERT INTO {ns}price_book (sku, currency, unit_minor, tax_percent)
SELECT 'SKU-' || lpad(i::text, 3, '0'), code, (199 + i * 137 % 9000) * percent / 100, CASE WHEN i % 5 = 0 THEN 7 ELSE 19 END
FROM generate_series(1, 200) AS i, (VALUES ('EUR', 100), ('USD', 110), ('GBP', 86)) AS currencies (code, percent);

INSERT INTO {ns}customers (customer_id)
SELECT 'cust-' || lpad(i::text, 3, '0') FROM generate_series(1, 50) AS i;
