//! The broker: a log in a SQLite file or, with the feature `distributed`, Kafka.
//!
//! Only this file and those in its folder name the choice.

#[cfg(feature = "distributed")]
#[path = "broker/distributed.rs"]
mod choice;
#[cfg(not(feature = "distributed"))]
#[path = "broker/embedded.rs"]
mod choice;
mod contents;
mod file;
#[cfg(feature = "distributed")]
mod kafka;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use mainstay_messaging::{Publisher, broker::Consumer};

use crate::{Error, Result, StorageSettings};

pub use contents::{LogContents, LogPartition, LogProgress, LogRecord};

/// Partitions of each topic, unless the settings say otherwise.
const PARTITIONS: u16 = 4;
const MOST_PARTITIONS: u16 = 1_000;

/// Where the log of a deployment is. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Log {
    place: Arc<dyn Place>,
    partitions: u16,
}

/// An open broker. It has every topic.
pub(crate) type Broker = Arc<dyn OpenBroker>;

/// The log that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum LogId {
    Missing,
    /// Created before logs had ids.
    Unnamed,
    Of(String),
}

/// A kind of broker, and which one.
#[async_trait]
trait Place: fmt::Debug + fmt::Display + Send + Sync {
    /// Opens it, and creates the topics that are missing.
    async fn open(&self, partitions: u16) -> Result<Broker>;
    /// Its id; nothing is created.
    async fn id(&self) -> Result<LogId>;
    async fn read(&self, key: Option<&str>) -> Result<LogContents>;
    async fn progress(&self, services: &[&'static str]) -> Result<LogProgress>;
    /// What an operator does about a wrong log.
    fn remedy(&self) -> &'static str;
}

/// What services need of a broker.
#[async_trait]
pub(crate) trait OpenBroker: fmt::Debug + Send + Sync {
    /// The id of its log.
    fn log_id(&self) -> String;
    fn publisher(&self) -> Arc<dyn Publisher>;
    /// Joins the group of `service`, which begins at the first record of its topics.
    async fn subscribe(&self, service: &'static str) -> Result<Box<dyn Consumer>>;
    async fn close(&self);
}

impl Log {
    /// Checks the settings.
    pub(crate) fn new(settings: &StorageSettings) -> Result<Self> {
        let partitions = settings.partitions.unwrap_or(PARTITIONS);
        if partitions == 0 || partitions > MOST_PARTITIONS {
            return Err(Error::Setting {
                what: "partitions is invalid: expected 1 to 1000",
            });
        }
        Ok(Self {
            place: choice::place(settings)?,
            partitions,
        })
    }

    /// Opens it, and creates the topics that are missing.
    pub(crate) async fn open(&self) -> Result<Broker> {
        self.place.open(self.partitions).await
    }

    pub(crate) async fn id(&self) -> Result<LogId> {
        self.place.id().await
    }

    /// What an operator does about a wrong log.
    pub(crate) fn remedy(&self) -> &'static str {
        self.place.remedy()
    }

    /// All records.
    ///
    /// # Errors
    /// There is no log, or it cannot be read.
    pub async fn read(&self) -> Result<LogContents> {
        self.place.read(None).await
    }

    /// The records of a key.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn records_of(&self, key: &str) -> Result<LogContents> {
        self.place.read(Some(key)).await
    }

    /// How far these services are; reads no record.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn progress(&self, services: &[&'static str]) -> Result<LogProgress> {
        self.place.progress(services).await
    }
}

/// `in DIRECTORY`, or `on SERVERS`.
impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}
