//! What the author of a store implements.
//!
//! Implement [`DeadLetterStore`], [`ReplayStore`] and [`DeskStore`], and run the conformance suite
//! (feature `conformance`) against them. All writes happen in the caller's transaction.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mainstay_database::{Namespace, Transactions};
use mainstay_messaging::{Delivery, Group, broker::Content};

use crate::{
    Error,
    desk::{AuditEntry, AuditRecord, Details, FailureGroup, Job, NewJob, Query, Totals},
    letter::{BlockedKey, DeadLetter, DeadLetterId, State},
};

pub use crate::fault::Fault;

/// Keeps dead letters, and the messages behind them.
#[async_trait]
pub trait DeadLetterStore: Send + Sync + 'static {
    /// The connection of the inbox beside it.
    type Connection: Send + 'static;

    /// Keeps those of `fresh` that may not be handled: their key is blocked, or they are in the
    /// queue already. Answers with their places in `fresh`.
    ///
    /// # Behaviour
    /// - Called behind the statement that inserted their processed records. It looks in a statement
    ///   of its own, so that it sees what was committed while that one waited.
    /// - Locks the rows of the blocked keys against a [hand-back](ReplayStore::hand_back), and looks
    ///   again after it has waited.
    /// - Numbers rise in the order of `fresh`.
    /// - A message that is in the queue already is not kept a second time.
    ///
    /// # Errors
    /// [`Error::Isolation`] if the transaction would not see such a commit; [`Error::Database`].
    async fn hold(
        &self,
        connection: &mut Self::Connection,
        consumer: &Group,
        fresh: &[&Delivery],
    ) -> Result<Vec<usize>, Error>;

    /// Keeps a message whose processed record was just inserted in this transaction, and blocks its
    /// key.
    ///
    /// # Behaviour
    /// - A row of the blocked key that exists is updated, which waits for a hand-back; a row that
    ///   the hand-back has deleted is inserted again.
    /// - A message that is in the queue already is not kept a second time; the failure is recorded.
    async fn keep(
        &self,
        connection: &mut Self::Connection,
        consumer: &Group,
        delivery: &Delivery,
        fault: &Fault,
    ) -> Result<(), Error>;
}

/// What can go on: a key, or a message without one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a replayer must act on both")]
pub enum Due {
    /// The lowest message of this key, or its hand-back.
    Key(BlockedKey),
    /// This message, which has no key.
    Letter(DeadLetterId),
}

/// The message to replay next, locked.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a replayer must act on each of them"
)]
pub enum Head {
    /// Handle this one.
    Ready(DeadLetterId, Box<Delivery>),
    /// Another replayer was faster, or it is not to be tried yet.
    NotDue,
    /// No message is kept: hand the key back.
    Empty,
}

/// Replays dead letters, and what is held behind them.
#[async_trait]
pub trait ReplayStore: DeadLetterStore {
    /// What can go on: keys that drain, keys without a kept message, and dead letters whose time
    /// has come.
    async fn due(&self, consumer: &Group, limit: u32) -> Result<Vec<Due>, Error>;

    /// Locks the lowest kept message.
    ///
    /// # Behaviour
    /// - Waits for a message that is locked, and never skips one: the next would overtake it.
    /// - Once it has the lock, looks again whether the message is kept, and whether its key drains
    ///   or its time has come.
    async fn head(&self, connection: &mut Self::Connection, due: &Due) -> Result<Head, Error>;

    /// The message is replayed once this transaction commits, and its key drains.
    async fn replayed(
        &self,
        connection: &mut Self::Connection,
        due: &Due,
        id: DeadLetterId,
    ) -> Result<(), Error>;

    /// The message failed: it is the dead letter of its key, which is blocked again. Answers whether
    /// it was still kept, seen under its lock; otherwise nothing is changed (ADR 0016).
    async fn block_again(
        &self,
        connection: &mut Self::Connection,
        due: &Due,
        id: DeadLetterId,
        fault: &Fault,
    ) -> Result<bool, Error>;

    /// Locks the row of the key, and in a second statement deletes it if no message of the key is
    /// kept. Answers whether it was deleted.
    async fn hand_back(
        &self,
        connection: &mut Self::Connection,
        key: &BlockedKey,
    ) -> Result<bool, Error>;

    /// Deletes up to `limit` messages of `consumer` that were resolved longer ago than `retention`,
    /// with their bodies, and up to `limit` jobs that ended longer ago, and that no message in the
    /// queue belongs to. Answers how many.
    async fn prune(
        &self,
        connection: &mut Self::Connection,
        consumer: &Group,
        retention: Duration,
        limit: u32,
    ) -> Result<u64, Error>;

    /// How many dead letters, held messages and blocked keys there are, counted up to `cap`.
    async fn totals(&self, consumer: &Group, cap: u32) -> Result<Totals, Error>;
}

/// What operators see and change. Lists never read bodies.
#[async_trait]
pub trait DeskStore: DeadLetterStore {
    /// Dead letters by the fingerprint of their failure, those that failed last first.
    async fn groups(
        &self,
        consumer: Option<&Group>,
        limit: u32,
        cap: u32,
    ) -> Result<Vec<FailureGroup>, Error>;

    /// Messages below `before`, newest first.
    async fn list(
        &self,
        query: &Query,
        before: Option<DeadLetterId>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, Error>;

    /// Counts up to `cap`.
    async fn count(&self, query: &Query, cap: u32) -> Result<u64, Error>;

    /// One message with its body, its revisions and its failures.
    async fn show(&self, id: DeadLetterId) -> Result<Option<Details>, Error>;

    /// The body of one revision; the newest if `None`.
    async fn body(&self, id: DeadLetterId, revision: Option<u32>)
    -> Result<Option<Content>, Error>;

    /// Locks a message for an act, and reads it again.
    async fn lock(
        &self,
        connection: &mut Self::Connection,
        id: DeadLetterId,
    ) -> Result<Option<DeadLetter>, Error>;

    /// The lowest kept message of a key, without a lock.
    async fn first(
        &self,
        connection: &mut Self::Connection,
        key: &BlockedKey,
    ) -> Result<Option<DeadLetterId>, Error>;

    /// Makes a locked message due now, for `job` if there is one.
    async fn request(
        &self,
        connection: &mut Self::Connection,
        id: DeadLetterId,
        job: Option<i64>,
    ) -> Result<(), Error>;

    /// Sets the state of a locked message. Of one that is restored, the key is blocked as by
    /// [`keep`](DeadLetterStore::keep); of a first one that is discarded, the key drains.
    async fn resolve(
        &self,
        connection: &mut Self::Connection,
        letter: &DeadLetter,
        state: State,
        was_first: bool,
    ) -> Result<(), Error>;

    /// Adds a revision to a locked message.
    async fn revise(
        &self,
        connection: &mut Self::Connection,
        letter: &DeadLetter,
        content: &Content,
    ) -> Result<(), Error>;

    /// Records an act.
    async fn log(
        &self,
        connection: &mut Self::Connection,
        entry: &AuditRecord<'_>,
    ) -> Result<(), Error>;

    /// The audit log, newest first.
    async fn audit(
        &self,
        letter: Option<DeadLetterId>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, Error>;

    /// Adds a job. It covers the messages that are in the queue now.
    async fn add_job(
        &self,
        connection: &mut Self::Connection,
        job: &NewJob<'_>,
    ) -> Result<i64, Error>;

    /// Jobs, newest first.
    async fn jobs(&self, limit: u32) -> Result<Vec<Job>, Error>;

    /// The numbers of jobs that are not finished, oldest first.
    async fn running_jobs(&self, limit: u32) -> Result<Vec<i64>, Error>;

    /// One job.
    async fn job(&self, id: i64) -> Result<Option<Job>, Error>;

    /// Locks an unfinished job for its next step, and reads it with the database's time; `None` if
    /// another process is at it.
    async fn claim_job(
        &self,
        connection: &mut Self::Connection,
        id: i64,
    ) -> Result<Option<(Job, SystemTime)>, Error>;

    /// Messages that a job is to come to, oldest first, behind its cursor.
    async fn job_letters(
        &self,
        connection: &mut Self::Connection,
        job: &Job,
        limit: u32,
    ) -> Result<Vec<DeadLetterId>, Error>;

    /// How far a claimed job has come.
    async fn advance_job(&self, connection: &mut Self::Connection, job: &Job) -> Result<(), Error>;
}

/// What the queue needs of a store to run a replayer and a desk.
pub trait QueueStore: ReplayStore + DeskStore {}

impl<S: ReplayStore + DeskStore + ?Sized> QueueStore for S {}

/// A database that this crate has a store for.
#[async_trait]
pub trait DeadLetterDatabase: Transactions {
    /// The store.
    type Store: QueueStore<Connection = Self::Connection>;

    /// Opens the store, and brings its tables to this build's version if `migrate`.
    async fn open_store(&self, namespace: &Namespace, migrate: bool) -> Result<Self::Store, Error>;
}
