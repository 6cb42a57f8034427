CREATE TABLE {ns}identity_scaffold (id INTEGER PRIMARY KEY) STRICT;
