-- The least that a service needs which runs a worker on its inbox. Run it as the owner of the tables, after `migrate`.
-- {role}: the service's role; {schema}: where the tables are; {ns}: as in the migrations, schema and prefix.
--
-- The service then calls `migrate` itself or not: where the schema is up to date, that only reads the version.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON {ns}inbox_schema TO {role};

-- Admission: marks are written and read, never changed.
GRANT SELECT, INSERT ON {ns}inbox_marks TO {role};

-- Where else a message was read.
GRANT SELECT, INSERT, UPDATE ON {ns}inbox_copies TO {role};

-- Retention: checkpoints are recorded, old ones and the marks behind them go.
GRANT DELETE ON {ns}inbox_marks, {ns}inbox_copies TO {role};
GRANT SELECT, INSERT, DELETE ON {ns}inbox_progress TO {role};
