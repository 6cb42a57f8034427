//! A keyed request's whole life in a transaction.

use std::panic::resume_unwind;

use axum::response::{IntoResponse as _, Response};
use mainstay_database::{ErrorKind, Transactions as _};
use tracing::Instrument as _;

use super::{Keyed, Problem, work::Work};
use crate::{Begun, Error, KeyedRequest, store::RecordStore, telemetry};

/// How often a request is begun at most, if it loses against other transactions.
const ATTEMPTS: usize = 5;

impl<T: Send + Sync + 'static, N> Keyed<T, N> {
    /// Runs `work` in a transaction of the records' database and commits it with its answer, or gives
    /// the answer that this request had before.
    ///
    /// It runs in a task of its own: a client that hangs up does not stop it. A transaction that
    /// loses against another one, or whose commit is not answered, is begun again, which finds the
    /// answer if it was committed. So `work` may run several times; each run but the last was rolled
    /// back.
    ///
    /// # Errors
    /// What `work` returns; then nothing is kept, and the key is free. 409 and 503 if the database
    /// cannot do better.
    ///
    /// # Panics
    /// If `work` does; the key is free then.
    ///
    /// # Cancel safety
    /// Cancel safe: the request goes on.
    pub async fn run<R, W, M>(self, records: &R, work: W) -> Result<Response, Problem>
    where
        R: RecordStore + Clone,
        W: for<'a> Work<'a, R::Connection, T, (), M> + 'static,
        M: 'static,
    {
        self.run_with(records, (), work).await
    }

    /// As [`run`](Self::run), for work that takes a state of the service, such as its outbox.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub async fn run_with<R, S, W, M>(
        self,
        records: &R,
        state: S,
        work: W,
    ) -> Result<Response, Problem>
    where
        R: RecordStore + Clone,
        S: Send + Sync + 'static,
        W: for<'a> Work<'a, R::Connection, T, S, M> + 'static,
        M: 'static,
    {
        let Self { body, request, .. } = self;
        let execution = Execution {
            records: records.clone(),
            request,
            body,
            state,
            work,
        };
        let running = async move { execution.run().await }.in_current_span();
        match tokio::spawn(running).await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The runtime is shutting down.
            Err(_) => Err(Problem::unavailable()),
        }
    }
}

struct Execution<R, T, S, W> {
    records: R,
    request: KeyedRequest,
    body: T,
    state: S,
    work: W,
}

/// What an attempt failed at.
enum Failed {
    Store(Error),
    Work(Problem),
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

impl Failed {
    /// Whether beginning again may find the other transaction's answer, or one's own.
    fn is_worth_another(&self) -> bool {
        match self {
            Self::Store(Error::Conflict { .. }) => true,
            Self::Store(error) => matches!(
                ErrorKind::of(error),
                Some(ErrorKind::Conflict | ErrorKind::OutcomeUnknown)
            ),
            Self::Work(problem) => problem.has_lost_a_race(),
        }
    }
}

impl<R, T: Send + Sync, S: Send + Sync, W> Execution<R, T, S, W> {
    async fn run<M>(&self) -> Result<Response, Problem>
    where
        R: RecordStore,
        W: for<'a> Work<'a, R::Connection, T, S, M>,
    {
        for _ in 1..ATTEMPTS {
            match self.attempt().await {
                Err(failed) if failed.is_worth_another() => {}
                outcome => return outcome.map_err(Failed::into),
            }
        }
        self.attempt().await.map_err(Failed::into)
    }

    async fn attempt<M>(&self) -> Result<Response, Failed>
    where
        R: RecordStore,
        W: for<'a> Work<'a, R::Connection, T, S, M>,
    {
        let database = self.records.database();
        let mut tx = database.begin().await?;
        let claim = match self.records.begin(&mut tx, &self.request).await? {
            Begun::Fresh(claim) => claim,
            Begun::Settled(settled) => {
                telemetry::settled(&settled);
                return Ok(settled.into_response());
            }
        };
        let answer = self.work.call(&mut tx, &self.body, &self.state).await;
        let answer = answer.map_err(Failed::Work)?;
        self.records.complete(&mut tx, claim, &answer).await?;
        database.commit(tx).await?;
        telemetry::fresh();
        Ok(answer.into_response())
    }
}

impl From<Failed> for Problem {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Store(error) => error.into(),
            Failed::Work(problem) => problem,
        }
    }
}
