//! How streams are opened in an SQL database.

use mainstay_database::Namespace;

/// Opens streams in a database `D`; made by the store's `builder`.
#[derive(Clone, Debug)]
#[must_use = "call open() to open the streams"]
pub struct EventStoreBuilder<D> {
    pub(crate) database: D,
    pub(crate) namespace: Namespace,
}

impl<D> EventStoreBuilder<D> {
    pub(crate) fn new(database: D) -> Self {
        Self {
            database,
            namespace: Namespace::plain(),
        }
    }

    /// Where the tables are; default: plain names. On PostgreSQL it may name a schema.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }
}
