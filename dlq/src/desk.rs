//! What operators see and do.

mod bulk;
mod details;
mod edit;
mod query;

use std::{collections::HashMap, fmt, sync::Arc};

use mainstay_database::Transactions as _;
use mainstay_inbox::store::WorkerStore;
use mainstay_messaging::{Group, Message, event::Event};

use crate::{
    DeadLetterQueue, Error,
    letter::{BlockedKey, DeadLetter, DeadLetterId, State},
    store::QueueStore,
};

pub use query::{
    AuditEntry, AuditRecord, BulkAct, Details, FailureGroup, FailureRecord, Job, JobState, NewJob,
    Page, Query, Signature, Totals,
};

/// Groups and counts go up to this many messages.
const CAP: u32 = 10_000;
/// The longest page.
const LONGEST: u32 = 1_000;

type Check =
    Arc<dyn Fn(&Message) -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Send + Sync>;

/// The operator's desk: groups, lists, replay, edit, discard, restore, audit. From
/// [`DeadLetterQueue::desk`].
///
/// It needs no handlers: acts write rows, and a [`Replayer`](crate::Replayer) does the rest. So it
/// works in any process that reaches the database. Each act is recorded with who did it and why, in
/// the transaction of the act.
pub struct Desk<I, S> {
    queue: DeadLetterQueue<I, S>,
    checks: HashMap<&'static str, Check>,
}

impl<I, S> Clone for Desk<I, S> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            checks: self.checks.clone(),
        }
    }
}

impl<I, S> fmt::Debug for Desk<I, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: Vec<_> = self.checks.keys().collect();
        kinds.sort_unstable();
        f.debug_struct("Desk")
            .field("checks", &kinds)
            .finish_non_exhaustive()
    }
}

impl<I, S> Desk<I, S>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    pub(crate) fn new(queue: DeadLetterQueue<I, S>) -> Self {
        Self {
            queue,
            checks: HashMap::new(),
        }
    }

    /// Lets edits of events `E` pass only if the edited message decodes, upcasters included.
    #[must_use]
    pub fn check<E: Event>(mut self) -> Self {
        let check: Check = Arc::new(|message| {
            mainstay_messaging::event::decode::<E>(message)
                .map(drop)
                .map_err(Into::into)
        });
        self.checks.insert(E::KIND, check);
        self
    }

    /// Dead letters by the fingerprint of their failure, those that failed last first; at most
    /// `limit` groups, up to 1,000.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn groups(
        &self,
        consumer: Option<&Group>,
        limit: u32,
    ) -> Result<Vec<FailureGroup>, Error> {
        let limit = limit.clamp(1, LONGEST);
        self.queue.store().groups(consumer, limit, CAP).await
    }

    /// Messages that match `query`, newest first: those below `before`, at most `limit`, up to
    /// 1,000.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn list(
        &self,
        query: &Query,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Page<DeadLetter>, Error> {
        let limit = limit.clamp(1, LONGEST);
        let before = before.map(DeadLetterId);
        let items = self.queue.store().list(query, before, limit).await?;
        let next = items.last().map(|letter| letter.id.0);
        Ok(page(items, next, limit))
    }

    /// How many messages match `query`, counted up to 10,000.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn count(&self, query: &Query) -> Result<u64, Error> {
        self.queue.store().count(query, CAP).await
    }

    /// How many dead letters, held messages and blocked keys `consumer` has, each counted up to
    /// 10,000.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn totals(&self, consumer: &Group) -> Result<Totals, Error> {
        self.queue.store().totals(consumer, CAP).await
    }

    /// One message with headers, body and failures.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Database`].
    pub async fn show(&self, id: DeadLetterId) -> Result<Details, Error> {
        let details = self.queue.store().show(id).await?;
        details.ok_or(Error::NotFound(id))
    }

    /// The dead letter that a held message waits behind: the first of its key. `None` for a message that is
    /// not held, and while a replay makes the effects of its key.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn head_of(&self, held: &DeadLetter) -> Result<Option<DeadLetter>, Error> {
        let Some(key) = held.blocked_key().filter(|_| held.state == State::Held) else {
            return Ok(None);
        };
        let of_key = Query::dead().consumer(&key.consumer).topic(&key.topic);
        let before = Some(held.id);
        let store = self.queue.store();
        let dead = store.list(&of_key.key(key.key), before, LONGEST).await?;
        Ok(dead.into_iter().next_back())
    }

    /// The audit log, of one message or of all, newest first: entries below `before`, at most
    /// `limit`, up to 1,000.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn audit(
        &self,
        letter: Option<DeadLetterId>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Page<AuditEntry>, Error> {
        let limit = limit.clamp(1, LONGEST);
        let items = self.queue.store().audit(letter, before, limit).await?;
        let next = items.last().map(|entry| entry.id);
        Ok(page(items, next, limit))
    }

    /// Has the replayer try a dead letter at once. The messages held behind it follow.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::WrongState`] unless it is dead; [`Error::NotFirst`] if it is
    /// held behind another one; [`Error::Unsigned`]; [`Error::Database`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the act was done; doing it again is safe.
    pub async fn replay(&self, id: DeadLetterId, by: &Signature) -> Result<(), Error> {
        by.check()?;
        let (database, store) = (self.queue.database(), self.queue.store());
        let mut tx = database.begin().await?;
        let letter = store.lock(&mut tx, id).await?.ok_or(Error::NotFound(id))?;
        let first = match letter.blocked_key() {
            Some(key) => store.first(&mut tx, &key).await?,
            None => None,
        };
        match (letter.state, first) {
            (State::Held | State::Dead, Some(first)) if first != id => {
                return Err(Error::NotFirst { id, first });
            }
            (State::Dead, _) => {}
            (state, _) => {
                let needed = "dead";
                return Err(Error::WrongState { id, state, needed });
            }
        }
        store.request(&mut tx, id, None).await?;
        store.log(&mut tx, &act(by, "replay", id, "")).await?;
        database.commit(tx).await?;
        self.queue.notify();
        Ok(())
    }

    /// Has the replayer try the dead letter of a key, whichever it is. Answers with its number.
    ///
    /// # Errors
    /// As [`replay`](Self::replay); [`Error::NotFound`] with number 0 if nothing of the key is kept.
    pub async fn replay_key(
        &self,
        key: &BlockedKey,
        by: &Signature,
    ) -> Result<DeadLetterId, Error> {
        let mut tx = self.queue.database().begin().await?;
        let first = self.queue.store().first(&mut tx, key).await?;
        drop(tx);
        let id = first.ok_or(Error::NotFound(DeadLetterId(0)))?;
        self.replay(id, by).await?;
        Ok(id)
    }

    /// Discards a message: its effect is not made. It can be [restored](Self::restore) until its
    /// retention ends. If it was the dead letter of its key, the messages held behind it go on.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::WrongState`] unless it is dead or held; [`Error::Unsigned`];
    /// [`Error::Database`].
    ///
    /// # Cancel safety
    /// As [`replay`](Self::replay).
    pub async fn discard(&self, id: DeadLetterId, by: &Signature) -> Result<(), Error> {
        by.check()?;
        let (database, store) = (self.queue.database(), self.queue.store());
        let mut tx = database.begin().await?;
        let letter = store.lock(&mut tx, id).await?.ok_or(Error::NotFound(id))?;
        if !letter.state.is_kept() {
            let (state, needed) = (letter.state, "dead or held");
            return Err(Error::WrongState { id, state, needed });
        }
        let first = match letter.blocked_key() {
            Some(key) => store.first(&mut tx, &key).await?,
            None => None,
        };
        let was_first = first == Some(id);
        store
            .resolve(&mut tx, &letter, State::Discarded, was_first)
            .await?;
        store.log(&mut tx, &act(by, "discard", id, "")).await?;
        database.commit(tx).await?;
        self.queue.notify();
        Ok(())
    }

    /// Makes a discarded message a dead letter again, and blocks its key. Its place in the order is
    /// lost: later messages of its key may have been handled.
    ///
    /// # Errors
    /// [`Error::NotFound`] once its retention has ended; [`Error::WrongState`] unless it is
    /// discarded; [`Error::Unsigned`]; [`Error::Database`].
    ///
    /// # Cancel safety
    /// As [`replay`](Self::replay).
    pub async fn restore(&self, id: DeadLetterId, by: &Signature) -> Result<(), Error> {
        by.check()?;
        let (database, store) = (self.queue.database(), self.queue.store());
        let mut tx = database.begin().await?;
        let letter = store.lock(&mut tx, id).await?.ok_or(Error::NotFound(id))?;
        if letter.state != State::Discarded {
            let (state, needed) = (letter.state, "discarded");
            return Err(Error::WrongState { id, state, needed });
        }
        store.resolve(&mut tx, &letter, State::Dead, false).await?;
        store.log(&mut tx, &act(by, "restore", id, "")).await?;
        Ok(database.commit(tx).await?)
    }
}

fn act<'a>(by: &'a Signature, act: &'a str, id: DeadLetterId, detail: &'a str) -> AuditRecord<'a> {
    AuditRecord {
        signature: by,
        act,
        letter: Some(id),
        job: None,
        detail,
    }
}

fn page<T>(items: Vec<T>, next: Option<i64>, limit: u32) -> Page<T> {
    let is_full = items.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    Page {
        next: next.filter(|_| is_full),
        items,
    }
}
