//! One attempt: a batch of messages, one transaction.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use mainstay_database::Transactions as _;
use mainstay_messaging::{Group, broker::Delivery};

use super::{
    adaptive::AdaptiveSize,
    lanes::LaneId,
    outcome::{Attempt, Broken, Cause, Done, Ended, Fault, Interruption, Stage},
    settings::Settings,
    telemetry::Meters,
    waiting::{Entry, Waiting},
};
use crate::{
    Error,
    error::chain,
    handlers::{Registry, panic_text},
    store::WorkerStore,
};

/// Savepoints of one transaction. PostgreSQL keeps 64 subtransactions of a session in shared
/// memory; with more of them, every snapshot of every session costs more.
const SAVEPOINTS: usize = 32;

/// How long going back to a savepoint may take: a statement of a handler that was ended may still
/// be running.
const GOING_BACK: Duration = Duration::from_secs(1);

/// What every transaction of a worker needs.
pub(super) struct Work<I: WorkerStore> {
    pub(super) group: Group,
    pub(super) inbox: I,
    pub(super) handlers: Registry<I::Connection>,
    pub(super) settings: Settings,
    pub(super) meters: Meters,
    /// Messages per transaction.
    batch: AdaptiveSize,
    /// Messages per savepoint; as large as a batch while nothing fails.
    chunk: AdaptiveSize,
}

/// One message of a batch.
pub(super) struct Member {
    /// The lane whose order it keeps.
    pub(super) lane: LaneId,
    pub(super) delivery: Arc<Delivery>,
    /// It gets a savepoint of its own.
    pub(super) has_failed: bool,
}

impl<I: WorkerStore> Work<I> {
    pub(super) fn new(
        group: Group,
        inbox: I,
        handlers: Registry<I::Connection>,
        settings: Settings,
    ) -> Self {
        Self {
            meters: Meters::new(&group),
            batch: AdaptiveSize::up_to(settings.batch_size),
            chunk: AdaptiveSize::up_to(settings.batch_size),
            group,
            inbox,
            handlers,
            settings,
        }
    }

    /// How many messages the next transaction takes at most.
    pub(super) fn limit(&self) -> usize {
        let guarded = self.chunk.get().saturating_mul(SAVEPOINTS);
        self.batch.get().min(guarded)
    }

    /// So many messages were rolled back because of one of them, from which no savepoint saved the
    /// others.
    pub(super) fn rolled_back(&self, messages: usize) {
        self.batch.failed(messages);
    }

    /// Makes the effects of a batch in one transaction. The effects of messages that fail are
    /// undone; those of the others are committed if the transaction can go back to a savepoint.
    pub(super) async fn attempt(&self, batch: Vec<Member>) -> Attempt {
        // Before the transaction: an unreadable record must not cost the others one.
        let entries = batch.into_iter().enumerate().map(|(index, member)| Entry {
            index,
            lane: member.lane,
            at_most: if member.has_failed { 1 } else { usize::MAX },
            event: Some(self.handlers.read(&member.delivery)),
            delivery: member.delivery,
        });
        let waiting = Waiting::new(entries);
        let unreadable = waiting.unreadable();
        let mut faults = Vec::new();
        let ended = if waiting.len() > 1 && !unreadable.is_empty() {
            Ended::Suspects(unreadable)
        } else {
            let ended = self.transact(waiting, &mut faults).await;
            ended.unwrap_or_else(Ended::Interrupted)
        };
        Attempt { ended, faults }
    }

    async fn transact(
        &self,
        mut waiting: Waiting<I::Connection>,
        faults: &mut Vec<Fault>,
    ) -> Result<Ended, Interruption> {
        let at = |stage| move |error| Interruption::new(stage, Arc::new(Error::from(error)));
        let (database, size) = (self.inbox.database(), waiting.len());
        let begun = database.begin().await;
        let mut tx = begun.map_err(at(Stage::Begin))?;
        let (mut done, mut run) = (Done::default(), Vec::new());
        let mut chunk = waiting.chunk(self.chunk.get());
        // For a batch in one piece, going back to a savepoint would be no better than a rollback.
        let guarded = !waiting.is_empty();
        let (mut savepoints, mut at_savepoint) = (0, false);
        while !chunk.is_empty() {
            if guarded && !at_savepoint {
                let set = database.savepoint(&mut tx).await;
                set.map_err(at(Stage::Begin))?;
                (savepoints, at_savepoint) = (savepoints + 1, true);
            }
            match self.run(&mut tx, &mut chunk, guarded).await? {
                Ok(part) => {
                    self.chunk.succeeded(chunk.len());
                    done += part.done;
                    run.extend(part.run);
                    at_savepoint = false;
                    if savepoints == SAVEPOINTS {
                        break;
                    }
                }
                Err(broken) if !guarded => return Ok(self.unguarded(size, broken, faults)),
                Err(broken) => {
                    if !self.went_back(&mut tx).await {
                        self.rolled_back(size);
                        return Ok(broken.into());
                    }
                    // The parts of a halved chunk tell nothing new about how often messages fail.
                    if chunk.iter().all(|entry| entry.at_most == usize::MAX) {
                        self.chunk.failed(chunk.len());
                    }
                    faults.extend(waiting.take_back(chunk, broken));
                }
            }
            chunk = waiting.chunk(self.chunk.get());
        }
        match database.commit(tx).await {
            Ok(()) => {}
            // A check that the database makes only at commit, or an error that a handler did not
            // return. The database does not say whose statement it was.
            Err(error) if !error.is_retryable() && !run.is_empty() => {
                self.rolled_back(size);
                return Ok(Broken::among(run, Cause::Retryable, Arc::new(error)).into());
            }
            Err(error) => return Err(at(Stage::Commit)(error)),
        }
        self.batch.succeeded(size);
        self.notify();
        let left = waiting.into_left();
        Ok(Ended::Committed { done, left })
    }

    /// A batch in one piece failed: the next transactions take smaller pieces.
    fn unguarded(&self, size: usize, broken: Broken, faults: &mut Vec<Fault>) -> Ended {
        self.chunk.failed(size);
        match broken {
            Broken::By(fault) => faults.push(fault),
            Broken::Among(among, error) => {
                tracing::debug!(
                    error = chain(&*error),
                    "a batch failed; the worker halves it to find the message that fails"
                );
                self.chunk.lower_to(among.len().div_ceil(2));
            }
        }
        Ended::RolledBack
    }

    /// Whether the transaction is at its savepoint again.
    async fn went_back(&self, connection: &mut I::Connection) -> bool {
        let going = self.inbox.database().roll_back_to_savepoint(connection);
        match tokio::time::timeout(GOING_BACK, going).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => tracing::debug!(
                error = chain(&error),
                "the transaction cannot go back to its savepoint; it is rolled back"
            ),
            Err(_) => tracing::debug!(
                "a statement of a handler that was ended is still running; the transaction is rolled back"
            ),
        }
        false
    }

    /// The transaction is committed, whatever happens in the callback.
    fn notify(&self) {
        if let Some(notify) = &self.settings.on_commit
            && let Err(payload) = catch_unwind(AssertUnwindSafe(|| notify()))
        {
            let panic = panic_text(&*payload);
            tracing::error!(panic, consumer = %self.group, "the on_commit callback panicked; the commit stands");
        }
    }
}
