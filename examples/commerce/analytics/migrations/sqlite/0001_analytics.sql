CREATE TABLE {ns}analytics_scaffold (id INTEGER PRIMARY KEY) STRICT;
