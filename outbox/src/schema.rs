//! What the SQL stores need to find in a schema that another tool made.

use std::collections::HashSet;

use mainstay_database::Namespace;

use crate::Error;

/// The tables and columns of every SQL store.
pub(crate) const TABLES: &[(&str, &[&str])] = &[
    (
        "outbox",
        &["shard", "position", "topic", "key", "envelope", "payload"],
    ),
    (
        "outbox_deferred",
        &[
            "position", "shard", "topic", "key", "envelope", "payload", "blocked", "head",
            "due_at", "attempts", "reason",
        ],
    ),
    (
        "outbox_deduplication_keys",
        &["deduplication_key", "used_at"],
    ),
    ("outbox_shards", &["shard", "owner", "fence"]),
    ("outbox_relays", &["owner", "lease_until"]),
    ("outbox_layout", &["shards", "hash"]),
    (
        "outbox_acts",
        &[
            "id",
            "at",
            "operator",
            "reason",
            "act",
            "topic",
            "key",
            "message_id",
            "refusal",
            "envelope",
            "payload",
        ],
    ),
];

/// The qualified name of a table.
pub(crate) fn qualified(namespace: &Namespace, table: &str) -> String {
    format!("{namespace}{table}")
}

/// Names the first table or column that is not among the `columns` found: pairs of table and column.
pub(crate) fn check(
    namespace: &Namespace,
    columns: &HashSet<(String, String)>,
) -> Result<(), Error> {
    for (table, needed) in TABLES {
        let name = qualified(namespace, table);
        let missing = |missing| Err(Error::MissingSchema { missing });
        if !columns.iter().any(|(found, _)| found == table) {
            return missing(format!("table {name}"));
        }
        for column in *needed {
            if !columns.contains(&((*table).to_owned(), (*column).to_owned())) {
                return missing(format!("column {column} of table {name}"));
            }
        }
    }
    Ok(())
}
