//! What all services of one process share.

use std::{sync::Arc, time::Duration};

use commerce_contracts::TOPICS;
use mainstay_clock::{Clock, IdGenerator, SystemClock, SystemIds};
use mainstay_database::{Namespace, sqlite::Database};
use mainstay_messaging::sqlite::Broker;
use tokio_util::sync::CancellationToken;

use crate::{Place, Result, roles};

/// How long the work of a process that was killed waits for the next one.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// Partitions of each topic.
const PARTITIONS: u16 = 4;

/// A place with its broker, and what is injected into every service.
#[derive(Clone, Debug)]
pub struct Deployment {
    pub(crate) place: Place,
    /// The broker's file.
    log: Database,
    pub(crate) broker: Broker,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdGenerator>,
    pub(crate) shutdown: CancellationToken,
}

impl Deployment {
    /// Opens the broker of `place` and creates the topics that are missing.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database) names the file that cannot be opened.
    pub async fn open(place: Place) -> Result<Self> {
        let file = Database::open(place.data().join("broker.db")).await?;
        // Through the database's own runner first: its error says which schema is newer.
        file.migrate_with(
            &mainstay_messaging::sqlite::MIGRATIONS,
            &Namespace::plain(),
            |_| roles::migrating(),
        )
        .await?;
        let broker = Broker::builder_on(&file)
            .lease(LEASE)
            .revocation_timeout(LEASE / 2)
            .open()
            .await?;
        for topic in TOPICS {
            broker.create_topic(*topic, PARTITIONS).await?;
        }
        Ok(Self {
            place,
            log: file,
            broker,
            clock: Arc::new(SystemClock::new()),
            ids: Arc::new(SystemIds::new()),
            shutdown: CancellationToken::new(),
        })
    }

    /// Closes the log's file. What this process wrote lies in `broker.db` then, and nothing beside it: a file left there
    /// would be taken for a part of whatever log is put in its place.
    pub async fn close(&self) {
        self.log.close().await;
    }

    /// Cancelled when background work shall drain and end.
    #[must_use]
    pub const fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Time.
    #[must_use]
    pub const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Ids.
    #[must_use]
    pub const fn ids(&self) -> &Arc<dyn IdGenerator> {
        &self.ids
    }

    /// Where the services keep their data.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }
}
