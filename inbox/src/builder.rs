//! How an inbox is opened, whatever the database.

use mainstay_database::Namespace;

/// Opens an inbox in a database `D`; made by the store's `builder`.
///
/// | setter | default |
/// |---|---|
/// | `namespace` | plain names |
#[derive(Clone, Debug)]
#[must_use = "call open() to open the inbox"]
pub struct InboxBuilder<D> {
    pub(crate) database: D,
    pub(crate) namespace: Namespace,
}

impl<D> InboxBuilder<D> {
    pub(crate) fn new(database: D) -> Self {
        Self {
            database,
            namespace: Namespace::plain(),
        }
    }

    /// Where the inbox's tables are: under a prefix, and on PostgreSQL in a schema; default: plain
    /// names.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }
}
