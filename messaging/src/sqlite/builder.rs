//! Settings of the log in a file.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use mainstay_clock::{Clock, IdGenerator, SystemClock, SystemIds};
use mainstay_database::{Namespace, sqlite::Database};
use tokio::sync::{RwLock, watch};

use super::{Broker, Inner, MIGRATIONS, identity, sort, statements::Statements};
use crate::Error;

/// Settings of a [`Broker`]; from [`Broker::builder`] or [`Broker::builder_on`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is opened"]
pub struct Builder {
    file: File,
    namespace: Namespace,
    settings: Settings,
}

#[derive(Clone, Debug)]
pub(super) enum File {
    Path(PathBuf),
    Open(Database),
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) max_message_size: usize,
    pub(super) lease: Duration,
    pub(super) revocation_timeout: Duration,
    pub(super) poll_interval: Duration,
    pub(super) fetch_records: u16,
    pub(super) fetch_bytes: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdGenerator>,
}

impl Builder {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            namespace: Namespace::plain(),
            settings: Settings {
                max_message_size: 1024 * 1024,
                lease: Duration::from_secs(5),
                revocation_timeout: Duration::from_secs(3),
                poll_interval: Duration::from_millis(20),
                fetch_records: 500,
                fetch_bytes: 8 * 1024 * 1024,
                clock: Arc::new(SystemClock::new()),
                ids: Arc::new(SystemIds::new()),
            },
        }
    }

    /// Where its tables live; default plain names.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// The largest message accepted, in bytes of [`Message::size`](crate::Message::size); default 1
    /// MiB, at most 128 MiB.
    pub const fn max_message_size(mut self, bytes: usize) -> Self {
        self.settings.max_message_size = bytes;
        self
    }

    /// How long a member that stopped answering keeps its partitions; default 5 s. Members renew it
    /// at a third, but at most once per millisecond.
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How long a member may take to give a revoked partition back; default 3 s.
    pub const fn revocation_timeout(mut self, timeout: Duration) -> Self {
        self.settings.revocation_timeout = timeout;
        self
    }

    /// Records per partition that one delivery holds at most; default 500, at least 1.
    pub fn fetch_records(mut self, count: u16) -> Self {
        self.settings.fetch_records = count.max(1);
        self
    }

    /// Bytes over all partitions that one delivery holds at most; a single larger record still
    /// comes. Default 8 MiB.
    pub fn fetch_bytes(mut self, bytes: usize) -> Self {
        self.settings.fetch_bytes = bytes.max(1);
        self
    }

    /// How often this broker and its clones look for records of other processes, however many
    /// consumers they have; default 20 ms. What they append themselves wakes their consumers at
    /// once.
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.settings.poll_interval = interval;
        self
    }

    /// The clock of leases and of the age of records; default the host's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// Where ids of members and of a new log come from; default the system's.
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.settings.ids = Arc::new(ids);
        self
    }

    /// Opens the log and brings its schema up to date.
    ///
    /// # Errors
    /// [`Error::Refused`] when the file cannot be opened or its schema is newer than this build;
    /// [`Error::Unavailable`] when the file is busy; [`Error::OutOfLimits`] names a setting.
    pub async fn open(self) -> Result<Broker, Error> {
        let database = self.database().await?;
        let migrated = database.migrate(&MIGRATIONS, &self.namespace).await;
        migrated.map_err(sort)?;
        self.over(database).await
    }

    /// Opens the log, whose schema a tool of yours made from [`MIGRATIONS`].
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::Refused`] when the schema lacks something.
    pub async fn open_without_migrating(self) -> Result<Broker, Error> {
        let database = self.database().await?;
        let checked = database.check_schema(&MIGRATIONS, &self.namespace, &PROBES);
        checked.await.map_err(sort)?;
        self.over(database).await
    }

    async fn database(&self) -> Result<Database, Error> {
        let size = self.settings.max_message_size;
        if size > LARGEST_MESSAGE {
            return Err(Error::OutOfLimits {
                what: "max_message_size",
                given: u64::try_from(size).unwrap_or(u64::MAX),
                limit: "134217728 or less",
            });
        }
        match &self.file {
            File::Path(path) => Database::open(path).await.map_err(sort),
            File::Open(database) => Ok(database.clone()),
        }
    }

    async fn over(self, database: Database) -> Result<Broker, Error> {
        let statements = Statements::new(&self.namespace);
        let id = identity::establish(&database, &statements, &*self.settings.ids).await?;
        Ok(Broker {
            inner: Arc::new(Inner {
                id,
                statements,
                database,
                settings: self.settings,
                topics: RwLock::default(),
                appends: watch::Sender::default(),
                next_look: Mutex::new(None),
            }),
        })
    }
}

/// A message is one value of SQLite with its batch, which has at most 1,000,000,000 bytes, and JSON
/// may write one byte of a message as six.
const LARGEST_MESSAGE: usize = 128 * 1024 * 1024;

/// The columns that this build needs.
const PROBES: [&str; 6] = [
    "SELECT id, key, envelope, payload, appended_at FROM {ns}broker_records LIMIT 0",
    "SELECT id, topic, number, first_offset, next_offset FROM {ns}broker_partitions LIMIT 0",
    "SELECT grp, member, boot_id, lease_until, topics FROM {ns}broker_members LIMIT 0",
    "SELECT grp, partition, member, epoch, committed FROM {ns}broker_claims LIMIT 0",
    "SELECT one, id FROM {ns}broker_identity LIMIT 0",
    "SELECT grp, topic FROM {ns}broker_subscriptions LIMIT 0",
];
