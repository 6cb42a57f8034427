CREATE TABLE {ns}orders (
    order_id    TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    currency    TEXT NOT NULL,
    total_minor INTEGER NOT NULL,
    status      TEXT NOT NULL,
    awaiting    TEXT NOT NULL,     -- JSON: compensations that were started and not yet acknowledged
    details     TEXT NOT NULL,     -- JSON: lines, amounts, address, payment method
    changes     INTEGER NOT NULL,  -- rows of its history
    emitted     INTEGER NOT NULL,  -- messages it has emitted
    placed_at   INTEGER NOT NULL,  -- microseconds since 1970, as all times here
    updated_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE {ns}order_history (
    order_id TEXT NOT NULL,
    change   INTEGER NOT NULL,     -- 1, 2, 3 …
    status   TEXT NOT NULL,
    reason   TEXT,
    at       INTEGER NOT NULL,
    PRIMARY KEY (order_id, change)
) STRICT, WITHOUT ROWID;

-- A repeated request gets the same answer, byte for byte. A row is written in the transaction that places its order.
CREATE TABLE {ns}idempotency_keys (
    idempotency_key TEXT PRIMARY KEY,
    request         TEXT NOT NULL,  -- the normalised request
    order_id        TEXT NOT NULL,
    answer          TEXT NOT NULL,  -- the body
    answered_at     INTEGER NOT NULL
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
