ALTER TABLE {ns}shipments ADD COLUMN customer_id TEXT; -- once OrderConfirmed has named the customer
ALTER TABLE {ns}shipments ADD COLUMN tracking_no TEXT;
UPDATE {ns}shipments SET tracking_no = 'MS' || upper(replace(order_id, '-', ''));
CREATE UNIQUE INDEX {prefix}shipments_tracking_no ON {ns}shipments (tracking_no);

ALTER TABLE {ns}tracking_events ADD COLUMN location TEXT;

-- What the carrier told, once per id; late scans too.
CREATE TABLE {ns}scans (
    scan_id     TEXT PRIMARY KEY,
    order_id    TEXT NOT NULL,
    status      TEXT NOT NULL,
    occurred_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL
);
