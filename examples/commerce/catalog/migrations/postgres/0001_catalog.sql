CREATE TABLE {ns}catalog_scaffold (id BIGINT PRIMARY KEY);
