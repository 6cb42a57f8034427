//! What the author of a store implements.
//!
//! Implement [`SagaStore`], [`DeskStore`] and [`ParticipantStore`], and run the conformance suite
//! (feature `conformance`) against them. A store keeps texts and columns; it reads none of the JSON.
//!
//! | table | key | columns |
//! |---|---|---|
//! | `saga_runs` | `run` | `saga`, `business_key`, `version`, `fingerprint`, `status`, `is_overdue`, `step`, `state`, `input`, `started_at`, `saved_at`, `wake_at`, `ended_at` |
//! | `saga_journal` | `number` | `run`, `at`, `entry` |
//! | `saga_steps` | `step` | `begins`, `undos`, `at` (the participant's side) |
//!
//! Indexes: (`saga`, `business_key`), unique over runs that have not ended; (`saga`, `fingerprint`,
//! `wake_at`) of those; (`saga`, `status`, `run`); (`saga`, `run`) of overdue ones; (`saga`,
//! `ended_at`); (`run`, `number`) of the journal; `at` of steps.

mod arc;
mod participant;

use std::time::Duration;

use async_trait::async_trait;
use mainstay_database::Transactions;

use crate::{
    Error, RunId,
    definition::Fingerprint,
    journal::Entry,
    operator::{Query, RunSummary},
    state::Status,
};

pub use crate::journal::JournalEntry;
pub use participant::{Begun, ParticipantStore, Unbegun};

/// What a run looks like from outside, written with each transition.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores write each of them")]
pub struct Face {
    /// Its status. An [ended](Status::is_ended) run frees its business key.
    pub status: Status,
    /// Whether it is overdue.
    pub is_overdue: bool,
    /// The step that it is at.
    pub step: Option<String>,
    /// When it is [due](SagaStore::lock_due), from now; none: never.
    pub wake_in: Option<Duration>,
}

/// A run to be created.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores write each of them")]
pub struct NewRun<'a> {
    /// The saga's name.
    pub saga: &'a str,
    /// Its id.
    pub run: &'a RunId,
    /// The business key.
    pub key: &'a str,
    /// The version of its definition.
    pub version: u32,
    /// The fingerprint of its definition.
    pub fingerprint: Fingerprint,
    /// The JSON of its input; never changed.
    pub input: &'a str,
}

/// A run as it was stored, locked by the transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it"
)]
pub struct StoredRun {
    /// Its id.
    pub run: RunId,
    /// The business key.
    pub key: String,
    /// The version of its definition.
    pub version: u32,
    /// The fingerprint of its definition.
    pub fingerprint: Fingerprint,
    /// The JSON of its state.
    pub state: String,
    /// The JSON of its input.
    pub input: String,
    /// The time since it was saved, by the store's clock; zero if that clock was set back.
    pub elapsed: Duration,
}

/// What a transition changes.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores write each of them")]
pub struct SavedRun<'a> {
    /// Which run.
    pub run: &'a RunId,
    /// The JSON of its state.
    pub state: &'a str,
    /// What it looks like.
    pub face: &'a Face,
    /// What to append to its journal, in order.
    pub journal: &'a [Entry],
}

/// Whether a run was created.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "a key that has a live run starts none"]
#[expect(clippy::exhaustive_enums, reason = "it is new or it is not")]
pub enum Created {
    /// It was created: [save](SagaStore::save) it in the same transaction.
    New,
    /// This run of the business key has not ended; nothing was written.
    Exists(RunId),
}

/// Keeps runs, in the caller's transaction.
#[async_trait]
pub trait SagaStore: Send + Sync + 'static {
    /// The connection that a transaction dereferences to.
    type Connection: Send + 'static;

    /// The database that holds the store's tables.
    type Database: Transactions<Connection = Self::Connection>;

    /// The database that holds the store's tables.
    fn database(&self) -> &Self::Database;

    /// Creates a run unless the business key has one that has not ended. The caller then saves it,
    /// with its state, in the same transaction.
    ///
    /// # Behaviour
    /// - Waits for another open transaction that creates a run of the same key: its commit makes
    ///   this one [`Created::Exists`], its rollback leaves it new.
    /// - Nothing is written if it exists, and the transaction is usable.
    /// - A run that was created and not saved is never due.
    ///
    /// # Errors
    /// [`Error::Database`]; the transaction must then be rolled back.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether it was created: roll the transaction back.
    async fn create(
        &self,
        connection: &mut Self::Connection,
        run: &NewRun<'_>,
    ) -> Result<Created, Error>;

    /// As [`create`](Self::create), with what its first transition saves. The default creates it, and
    /// saves it if it is new.
    ///
    /// # Behaviour
    /// - As [`create`](Self::create), and as [`save`](Self::save) if it is new.
    /// - `saved` has at least one entry of the journal, that the run was started.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    ///
    /// # Cancel safety
    /// As [`create`](Self::create).
    async fn create_saved(
        &self,
        connection: &mut Self::Connection,
        run: &NewRun<'_>,
        saved: &SavedRun<'_>,
    ) -> Result<Created, Error> {
        let created = self.create(connection, run).await?;
        if created == Created::New {
            let saved = std::slice::from_ref(saved);
            self.save(connection, saved).await?;
        }
        Ok(created)
    }

    /// The run of the business key that has not ended.
    async fn find(
        &self,
        connection: &mut Self::Connection,
        saga: &str,
        key: &str,
    ) -> Result<Option<RunId>, Error>;

    /// Locks runs of `saga` until the transaction ends, and reads them.
    ///
    /// # Behaviour
    /// - Locks in ascending order of run ids, so that two calls never wait for each other in a
    ///   circle.
    /// - Waits for a run that another transaction has locked, and then reads what that one
    ///   committed.
    /// - Unknown runs, and those of other sagas, are not in the answer.
    async fn lock(
        &self,
        connection: &mut Self::Connection,
        saga: &str,
        runs: &[RunId],
    ) -> Result<Vec<StoredRun>, Error>;

    /// Locks up to `limit` runs whose time has come, of each definition those that are due longest
    /// first, and reads them.
    ///
    /// # Behaviour
    /// - Only runs of these definitions, so that runs which this build cannot continue cost nothing
    ///   and keep no others waiting.
    /// - Skips runs that other transactions have locked (`SKIP LOCKED`): a reply is being handled.
    /// - A run that was locked is due at that moment: one that another transaction has saved
    ///   meanwhile is looked at again.
    /// - Reads an index over what is due, however many runs there are.
    async fn lock_due(
        &self,
        connection: &mut Self::Connection,
        saga: &str,
        definitions: &[Fingerprint],
        limit: u32,
    ) -> Result<Vec<StoredRun>, Error>;

    /// Saves runs that this transaction has locked or created, and appends to their journals.
    ///
    /// # Behaviour
    /// - State, face and journal are written together. Times count from now, by the store's clock.
    /// - A run whose status has ended is no longer due, and its business key is free.
    /// - Entries of one run get rising numbers in their order.
    /// - A set of runs is written in a number of statements that does not grow with it.
    async fn save(
        &self,
        connection: &mut Self::Connection,
        runs: &[SavedRun<'_>],
    ) -> Result<(), Error>;

    /// Makes a run due after `delay`, and changes nothing else of it.
    ///
    /// # Behaviour
    /// - Waits for another transaction that has locked it, and then looks again: a run that is not
    ///   due any more stays as it is.
    async fn postpone(
        &self,
        connection: &mut Self::Connection,
        run: &RunId,
        delay: Duration,
    ) -> Result<(), Error>;

    /// Deletes up to `limit` runs of `saga` that have ended longer ago than `retention`, with their
    /// journals. Answers how many.
    async fn prune(
        &self,
        connection: &mut Self::Connection,
        saga: &str,
        retention: Duration,
        limit: u32,
    ) -> Result<u64, Error>;
}

/// Runs of one definition that have not ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it"
)]
pub struct LiveDefinition {
    /// The version of the definition.
    pub version: u32,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// How many runs it has, counted up to the cap.
    pub runs: u64,
    /// One of them.
    pub example: RunId,
}

/// A run with all that is known of it. Not locked.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it"
)]
pub struct ShownRun {
    /// What it looks like.
    pub summary: RunSummary,
    /// What is stored.
    pub stored: StoredRun,
    /// Its journal, in order.
    pub journal: Vec<JournalEntry>,
}

/// What operators see. Each call reads what is committed, outside any transaction of the caller.
#[async_trait]
pub trait DeskStore: SagaStore {
    /// Runs that match, by descending run id: those below `before`, at most `limit`. Reads neither
    /// states nor inputs.
    ///
    /// # Behaviour
    /// - A run whose status this build does not know is listed as broken, so that it hides no other.
    async fn list(
        &self,
        query: &Query,
        before: Option<&RunId>,
        limit: u32,
    ) -> Result<Vec<RunSummary>, Error>;

    /// How many runs match, counted up to `cap`.
    async fn count(&self, query: &Query, cap: u32) -> Result<u64, Error>;

    /// One run with its journal.
    async fn show(&self, run: &RunId) -> Result<Option<ShownRun>, Error>;

    /// The definitions of the runs of `saga` that have not ended; each counted up to `cap`.
    async fn live(&self, saga: &str, cap: u32) -> Result<Vec<LiveDefinition>, Error>;
}
