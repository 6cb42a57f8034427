//! Where a deployment keeps its data, as people say it.

use std::{fmt, path::PathBuf};

/// Settings of a [`Place`](super::Place).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Storage {
    /// The directory of the files.
    pub data: PathBuf,
    /// URL of a PostgreSQL server. It may hold a password.
    pub postgres: Option<String>,
    /// What the names of the databases there begin with; default `commerce_`.
    pub postgres_prefix: Option<String>,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage")
            .field("data", &self.data)
            .field("postgres", &self.postgres.as_ref().map(|_| "…"))
            .field("postgres_prefix", &self.postgres_prefix)
            .finish()
    }
}
