//! Settings of the storage, as the operator gives them.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// Settings of a [`Storage`](super::Storage).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct StorageSettings {
    /// The directory of the files.
    pub data: PathBuf,
    /// URL of a PostgreSQL server. It may hold a password.
    pub postgres: Option<String>,
    /// Prefix of the names of the databases on it; default `commerce_`.
    pub postgres_prefix: Option<String>,
    /// URL of a Redis server. It may hold a password.
    pub redis: Option<String>,
    /// Servers of a Kafka cluster, as `host:port,host:port`.
    pub kafka: Option<String>,
    /// Beginning of the names of the topics and groups on it; default `commerce_`.
    pub kafka_prefix: Option<String>,
    /// Partitions of each topic that is created, 1 to 1000; default 4.
    pub partitions: Option<u16>,
}

impl StorageSettings {
    /// The directory, as a path that SQLite takes literally.
    pub(crate) fn directory(&self) -> Result<PathBuf> {
        match self.data.to_str() {
            None | Some("") => Err(Error::Setting {
                what: "data is invalid: expected a directory whose path is UTF-8",
            }),
            // SQLite takes `file:shop` for a URI and opens another file; the database refuses what
            // looks like a URL.
            Some(path) if self.data.is_relative() && path.contains(':') => {
                Ok(Path::new(".").join(path))
            }
            Some(path) => Ok(path.into()),
        }
    }
}

impl fmt::Debug for StorageSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageSettings")
            .field("data", &self.data)
            .field("postgres", &self.postgres.as_ref().map(|_| "…"))
            .field("postgres_prefix", &self.postgres_prefix)
            .field("redis", &self.redis.as_ref().map(|_| "…"))
            .field("kafka", &self.kafka)
            .field("kafka_prefix", &self.kafka_prefix)
            .field("partitions", &self.partitions)
            .finish()
    }
}
