//! The roles without fault points.

use std::sync::Arc;

use mainstay_messaging::Publisher;

use crate::{Remote, db::Database};

pub(crate) type Transacting = Database;

pub(crate) const fn transactions(database: Database) -> Transacting {
    database
}

pub(crate) const fn migrating() {}

pub(crate) fn publisher(publisher: impl Publisher + 'static) -> Arc<dyn Publisher> {
    Arc::new(publisher)
}

/// The system, unchanged.
pub const fn remote<R: Remote>(remote: R) -> R {
    remote
}
