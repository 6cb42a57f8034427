CREATE TABLE {ns}shipments (
    order_id TEXT PRIMARY KEY,   -- one shipment per order
    status   TEXT NOT NULL,
    ship_to  TEXT NOT NULL,      -- JSON
    contents TEXT NOT NULL,      -- JSON
    task     TEXT NOT NULL,      -- JSON: the command that is answered when it is packed
    due_at   BIGINT              -- microseconds since 1970
);
CREATE INDEX {prefix}shipments_due ON {ns}shipments (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE {ns}tracking_events (
    order_id    TEXT NOT NULL,
    status      TEXT NOT NULL,
    occurred_at BIGINT  NOT NULL,
    PRIMARY KEY (order_id, status)
);
