-- What the catalog says of a product, and what tells one state of its stock from another.
ALTER TABLE {ns}stock_items ADD COLUMN version INTEGER NOT NULL DEFAULT 1;          -- grows with each change
ALTER TABLE {ns}stock_items ADD COLUMN status TEXT NOT NULL DEFAULT 'active';  -- active, retired
ALTER TABLE {ns}stock_items ADD COLUMN product_version INTEGER NOT NULL DEFAULT 1;  -- that the status comes from
