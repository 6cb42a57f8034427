CREATE TABLE {ns}notification_scaffold (id INTEGER PRIMARY KEY) STRICT;
