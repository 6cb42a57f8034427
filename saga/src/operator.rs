//! What operators see and do.

mod acts;
mod query;

use std::fmt;

use mainstay_outbox::Outbox;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Error, Orchestrator, RunId,
    state::State,
    store::{DeskStore, JournalEntry, SagaStore},
    timeline::Timeline,
};

pub use query::{Page, Query, RunSummary, Signature};

/// Counts go up to this many runs.
const CAP: u32 = 10_000;
/// The longest page.
const LONGEST: u32 = 1_000;

/// What operators see of a saga, and do to its runs; from [`Orchestrator::desk`].
///
/// Each act says who does it and why. It is recorded in the run's journal, in the transaction of the
/// act. It works in any process that reaches the database: commands go through the outbox.
///
/// ```
/// # use mainstay_saga::{*, database::memory::Connection, outbox::Outbox, store::DeskStore};
/// # async fn example<I, S: DeskStore, O: Outbox<Connection = S::Connection>>(place_order: Orchestrator<I, S, O>) -> Result<(), Error>
/// # where I: serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static {
/// let desk = place_order.desk();
/// for run in desk.list(&Query::overdue(), None, 50).await?.items {
///     println!("{}", desk.timeline(&run.run).await?);
///     desk.retry(&run.run, &Signature::new("ada", "the payment provider is back")).await?;
/// }
/// # Ok(()) }
/// ```
pub struct Desk<I, S: SagaStore, O> {
    orchestrator: Orchestrator<I, S, O>,
}

/// One run with all that is known of it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Details {
    /// What it looks like.
    pub summary: RunSummary,
    /// The JSON of its input.
    pub input: String,
    /// Its state.
    pub state: State,
    /// Its journal, in order.
    pub journal: Vec<JournalEntry>,
}

impl<I, S, O> Orchestrator<I, S, O>
where
    I: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: DeskStore,
    O: Outbox<Connection = S::Connection>,
{
    /// What operators see and do.
    #[must_use]
    pub fn desk(&self) -> Desk<I, S, O> {
        let orchestrator = self.clone();
        Desk { orchestrator }
    }

    /// Checks that this build can continue all runs that have not ended: for the start of a
    /// service, and for a pipeline before it deploys.
    ///
    /// # Errors
    /// [`Error::LiveRuns`] names the versions that are missing, with an example of each;
    /// [`Error::Database`].
    pub async fn check_live(&self) -> Result<(), Error> {
        let (mut runs, mut details) = (0, Vec::new());
        for live in self.store().live(self.name(), CAP).await? {
            if self.fingerprints().contains(&live.fingerprint) {
                continue;
            }
            runs += live.runs;
            let detail = match self.store().show(&live.example).await? {
                Some(shown) => match State::read(&shown.stored) {
                    Ok(state) => self.incompatible(&shown.stored, &state).to_string(),
                    Err(error) => error.to_string(),
                },
                // It has ended and was pruned meanwhile; others of its definition may live.
                None => format!("version {}", live.version),
            };
            details.push(format!("{} of {detail}", live.runs));
        }
        if details.is_empty() {
            return Ok(());
        }
        Err(Error::LiveRuns {
            saga: self.name().to_owned(),
            runs,
            details: details.join("; "),
        })
    }
}

impl<I, S, O> Desk<I, S, O>
where
    I: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: DeskStore,
    O: Outbox<Connection = S::Connection>,
{
    /// Runs of this saga that match, by descending run id, which is newest first: those below
    /// `before`, at most `limit`, up to 1,000.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn list(
        &self,
        query: &Query,
        before: Option<&RunId>,
        limit: u32,
    ) -> Result<Page, Error> {
        let limit = limit.clamp(1, LONGEST);
        let items = self.store().list(&self.mine(query), before, limit).await?;
        let is_full = items.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let next = items.last().filter(|_| is_full);
        Ok(Page {
            next: next.map(|last| last.run.clone()),
            items,
        })
    }

    /// How many runs of this saga match, counted up to 10,000.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn count(&self, query: &Query) -> Result<u64, Error> {
        self.store().count(&self.mine(query), CAP).await
    }

    /// Runs that take longer than they should and can only be waited for, newest first; at most
    /// `limit`, up to 1,000.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn overdue(&self, limit: u32) -> Result<Page, Error> {
        self.list(&Query::overdue(), None, limit).await
    }

    /// One run with its input, its state and its journal.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Damaged`], [`Error::Database`].
    pub async fn show(&self, run: &RunId) -> Result<Details, Error> {
        let shown = self.store().show(run).await?;
        let shown = shown.filter(|shown| shown.summary.saga == self.orchestrator.name());
        let shown = shown.ok_or_else(|| Error::NotFound(run.clone()))?;
        Ok(Details {
            summary: shown.summary,
            state: State::read(&shown.stored)?,
            input: shown.stored.input,
            journal: shown.journal,
        })
    }

    /// The timeline of one run: a text as `Display`, JSON as `Serialize`.
    ///
    /// # Errors
    /// As [`show`](Self::show), but a state that cannot be read does not matter.
    pub async fn timeline(&self, run: &RunId) -> Result<Timeline, Error> {
        let shown = self.store().show(run).await?;
        let shown = shown.filter(|shown| shown.summary.saga == self.orchestrator.name());
        let shown = shown.ok_or_else(|| Error::NotFound(run.clone()))?;
        Ok(Timeline::new(shown.summary, shown.journal))
    }

    fn store(&self) -> &S {
        self.orchestrator.store()
    }

    fn mine(&self, query: &Query) -> Query {
        query.clone().saga(self.orchestrator.name())
    }
}

impl<I, S: SagaStore, O> Clone for Desk<I, S, O> {
    fn clone(&self) -> Self {
        let orchestrator = self.orchestrator.clone();
        Self { orchestrator }
    }
}

impl<I, S: SagaStore, O> fmt::Debug for Desk<I, S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Desk").field(&self.orchestrator).finish()
    }
}
