-- The version of each product that the price book has. An older one that comes later changes nothing.
CREATE TABLE {ns}priced_products (
    sku     TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    status  TEXT NOT NULL          -- active, retired
);

INSERT INTO {ns}priced_products (sku, version, status)
SELECT DISTINCT sku, 1, 'active' FROM {ns}price_book;

-- Lists of orders: ids grow with time. None by status: PostgreSQL would write every change of an order to all indexes.
CREATE INDEX {prefix}order_view_by_customer ON {ns}order_view (customer_id, order_id);
