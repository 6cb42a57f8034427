//! How records are opened in an SQL database.

use std::time::Duration;

use mainstay_database::Namespace;

use crate::lifetime::LIFETIME;

/// Opens records in a database `D`; made by the store's `builder`.
///
/// | setter | default |
/// |---|---|
/// | `lifetime` | 24 h |
/// | `namespace` | plain names |
#[derive(Clone, Debug)]
#[must_use = "call open() to open the records"]
pub struct RecordsBuilder<D> {
    pub(crate) database: D,
    pub(crate) namespace: Namespace,
    pub(crate) lifetime: Duration,
}

impl<D> RecordsBuilder<D> {
    pub(crate) fn new(database: D) -> Self {
        Self {
            database,
            namespace: Namespace::plain(),
            lifetime: LIFETIME,
        }
    }

    /// How long an answer is kept and given again; default 24 h. Publish it: a client that retries
    /// later makes a second effect.
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }
}

/// A lifetime as tables and scripts take it. A century is for ever, and can be added to any time.
pub(crate) fn micros(lifetime: Duration) -> i64 {
    const CENTURY: Duration = Duration::from_secs(100 * 366 * 24 * 3600);
    let micros = lifetime.min(CENTURY).as_micros();
    i64::try_from(micros).unwrap_or(i64::MAX)
}
