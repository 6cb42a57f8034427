//! The resources that all services of one process share.

use std::{sync::Arc, time::Duration};

use mainstay_clock::{Clock, IdGenerator, SystemClock, SystemIds};
use mainstay_messaging::Publisher;
use tokio_util::sync::CancellationToken;

use crate::{
    Access, Authentication, KeySet, Leases, Operators, Result, Storage, WebhookSecrets,
    broker::Broker,
};

/// How long after a kill another process takes over the work.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// The storage, the broker, and the clock and ids of every service.
#[derive(Clone, Debug)]
pub struct Deployment {
    pub(crate) storage: Storage,
    pub(crate) broker: Broker,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdGenerator>,
    pub(crate) access: Access,
    pub(crate) keys: KeySet,
    pub(crate) operators: Operators,
    webhook_secrets: WebhookSecrets,
    pub(crate) shutdown: CancellationToken,
}

impl Deployment {
    /// Opens the broker of `storage`, and creates the topics that are missing.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database) names the file that cannot be opened,
    /// [`Error::Broker`](crate::Error::Broker) says that Kafka does not answer.
    pub async fn open(storage: Storage) -> Result<Self> {
        let broker = storage.log().open().await?;
        Ok(Self {
            storage,
            broker,
            clock: Arc::new(SystemClock::new()),
            ids: Arc::new(SystemIds::new()),
            access: Access::Open,
            keys: KeySet::default(),
            operators: Operators::everyone(),
            webhook_secrets: WebhookSecrets::new(None, None, Access::Required)?,
            shutdown: CancellationToken::new(),
        })
    }

    /// Whether requests need a token; default: they do not.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// The public keys of access tokens, which the identity service publishes here.
    #[must_use]
    pub const fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// Finds out who sends a request.
    #[must_use]
    pub fn authentication(&self) -> Authentication {
        let (keys, operators) = (self.keys.clone(), self.operators.clone());
        Authentication::new(self.access, keys, operators, Arc::clone(&self.clock))
    }

    /// Who may act on dead letters; default: everyone who reaches the listener.
    #[must_use]
    pub fn operators(mut self, operators: Operators) -> Self {
        self.operators = operators;
        self
    }

    /// The secrets that parties outside sign webhooks with; default: random ones.
    #[must_use]
    pub fn with_webhook_secrets(mut self, secrets: WebhookSecrets) -> Self {
        self.webhook_secrets = secrets;
        self
    }

    /// The secrets that parties outside sign webhooks with.
    #[must_use]
    pub const fn webhook_secrets(&self) -> &WebhookSecrets {
        &self.webhook_secrets
    }

    /// Closes the log, if it is a file, and removes the write-ahead log beside it.
    pub async fn close(&self) {
        self.broker.close().await;
    }

    /// Cancel it to drain and end the background work.
    #[must_use]
    pub const fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Appends to the log.
    #[must_use]
    pub fn publisher(&self) -> Arc<dyn Publisher> {
        self.broker.publisher()
    }

    /// Leases on the keys of calls to third-party systems.
    ///
    /// # Errors
    /// [`Error::Keys`](crate::Error::Keys): the Redis server cannot be reached, or would evict keys.
    pub async fn leases(&self) -> Result<Leases> {
        self.storage.leases().await
    }

    /// The clock.
    #[must_use]
    pub const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The generator of ids.
    #[must_use]
    pub const fn ids(&self) -> &Arc<dyn IdGenerator> {
        &self.ids
    }

    /// The storage of the services' data.
    #[must_use]
    pub const fn storage(&self) -> &Storage {
        &self.storage
    }
}
