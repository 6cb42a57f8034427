//! How sagas are opened in an SQL database.

use std::time::Duration;

use mainstay_database::Namespace;

/// Opens the tables of sagas in a database `D`; made by the store's `builder`.
///
/// | setter | default |
/// |---|---|
/// | `namespace` | plain names |
#[derive(Clone, Debug)]
#[must_use = "call open() to open the sagas"]
pub struct SagasBuilder<D> {
    pub(crate) database: D,
    pub(crate) namespace: Namespace,
}

impl<D> SagasBuilder<D> {
    pub(crate) fn new(database: D) -> Self {
        Self {
            database,
            namespace: Namespace::plain(),
        }
    }
}

/// A delay as tables take it. A century is for ever, and can be added to any time.
pub(crate) fn micros(delay: Duration) -> i64 {
    const CENTURY: Duration = Duration::from_secs(100 * 366 * 24 * 3600);
    i64::try_from(delay.min(CENTURY).as_micros()).unwrap_or(i64::MAX)
}
