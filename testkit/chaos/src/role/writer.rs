//! Writes entries, and events about them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use clap::Args;
use mainstay_clock::{IdGenerator as _, SystemIds};
use mainstay_database::{Error, Transactions as _, postgres::Database};
use mainstay_outbox::{
    Outbox as _,
    postgres::{Fused, PostgresOutbox},
};
use mainstay_ports::Ports;
use mainstay_testkit::crash::Points;
use mainstay_testkit::history::Entry;
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{BACKOFF, Place, until_it_answers};
use crate::{Failure, TOPIC, ledger::outbox, message};

/// Makes entries, each in a transaction that also enqueues the event about it; what fails is tried again as users do: with the same id,
/// by which they see what was committed although they were not told.
#[derive(Args, Clone, Debug)]
#[non_exhaustive]
pub struct Writer {
    #[command(flatten)]
    place: Place,
    /// How many keys there are.
    #[arg(long, default_value_t = 10)]
    keys: u64,
    /// Transactions at once.
    #[arg(long, default_value_t = 4)]
    sessions: u32,
    /// Milliseconds between two transactions of a session.
    #[arg(long, default_value_t = 20)]
    pace: u64,
    /// One transaction in so many is rolled back by its user.
    #[arg(long, default_value_t = 10)]
    rollback: u64,
}

/// How it went.
#[derive(Default, Serialize, Debug)]
struct Written {
    committed: AtomicU64,
    /// Rolled back by the user.
    rolled_back: AtomicU64,
    /// Attempts that failed before their commit.
    interrupted: AtomicU64,
    /// Commits whose answer was lost.
    unknown: AtomicU64,
    /// Among these, what turned out to be committed.
    found_committed: AtomicU64,
}

/// What became of an attempt.
enum Attempt {
    Committed,
    RolledBack,
    /// An earlier attempt had committed.
    WasThere,
}

struct Session {
    writer: Writer,
    points: Arc<Points>,
    database: Ports<Arc<Database>>,
    outbox: Arc<PostgresOutbox>,
    /// Writes the entry and enqueues in one statement; none = two statements.
    fused: Option<Fused>,
    written: Arc<Written>,
    ids: SystemIds,
}

const COUNT: &str = "INSERT INTO counters AS c (key, last) VALUES ($1, 1)
     ON CONFLICT (key) DO UPDATE SET last = c.last + 1 RETURNING last";
const ENTER: &str = "INSERT INTO entries (id, key, number, attempt) VALUES ($1, $2, $3, $4)
     ON CONFLICT (id) DO NOTHING RETURNING number";

impl Writer {
    /// Writes until `shutdown`; each entry that was begun is brought to its end. Answers with a summary.
    pub async fn run(self, shutdown: CancellationToken) -> Result<serde_json::Value, Failure> {
        let database = self.place.database().await?;
        let shards = self.place.shards;
        let outbox = until_it_answers(async || outbox(&database, shards).await).await?;
        let written = Arc::new(Written::default());
        let points = self.place.points();
        let mut sessions = JoinSet::new();
        for number in 0..self.sessions {
            let session = Session {
                writer: self.clone(),
                points: Arc::clone(&points),
                database: Ports::new(Arc::new(database.clone()), &points),
                fused: (number % 2 == 1).then(|| outbox.fused(ENTER)),
                outbox: Arc::clone(&outbox),
                written: Arc::clone(&written),
                ids: SystemIds::new(),
            };
            sessions.spawn(session.run(shutdown.clone()));
        }
        let announcing = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { outbox.announce(shutdown).await }
        });
        while let Some(ended) = sessions.join_next().await {
            ended.map_err(|error| Failure::process("a session", error.into()))??;
        }
        announcing
            .await
            .map_err(|error| Failure::process("announcing", error.into()))?;
        let unreadable = |error: serde_json::Error| Failure::Unreadable(error.to_string());
        let mut summary = serde_json::to_value(&*written).map_err(unreadable)?;
        summary["name"] = json!(self.place.name);
        summary["calls"] = json!(points.calls());
        Ok(summary)
    }
}

impl Session {
    async fn run(self, shutdown: CancellationToken) -> Result<(), Failure> {
        while !shutdown.is_cancelled() {
            self.entry().await?;
            tokio::time::sleep(Duration::from_millis(self.writer.pace)).await;
        }
        Ok(())
    }

    /// One entry, tried until it is there or its user gives it up.
    async fn entry(&self) -> Result<(), Failure> {
        let id = self.ids.uuid().to_string();
        let key = format!("{}", self.ids.random() % self.writer.keys);
        let given_up = self.ids.random().is_multiple_of(self.writer.rollback);
        let mut failures = 0;
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        let (written, mut asked) = (&self.written, false);
        loop {
            match self.attempt(&id, &key, given_up).await {
                Ok(Attempt::Committed) => {
                    count(&written.committed);
                    self.outbox.ring();
                    return Ok(());
                }
                Ok(Attempt::RolledBack) => {
                    count(&written.rolled_back);
                    return Ok(());
                }
                Ok(Attempt::WasThere) => {
                    count(&written.committed);
                    count(&written.found_committed);
                    return asked.then_some(()).ok_or_else(|| {
                        Failure::Unreadable(format!("an entry {id} that nobody made"))
                    });
                }
                Err(error) if error.is_retryable() => {
                    let unknown = matches!(error, Failure::Database(Error::OutcomeUnknown(_)));
                    asked |= unknown;
                    count(if unknown {
                        &written.unknown
                    } else {
                        &written.interrupted
                    });
                    tracing::warn!(%error, "again");
                    tokio::time::sleep(BACKOFF.delay(failures, &self.ids)).await;
                    failures += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn attempt(&self, id: &str, key: &str, given_up: bool) -> Result<Attempt, Failure> {
        let sorted = mainstay_database::postgres::classify;
        let mut tx = self.database.begin().await?;
        // Its lock is held until the commit: from here on this key's commits come in the order of their numbers.
        let points = &self.points;
        let number = sqlx::query_scalar(COUNT).bind(key).fetch_one(&mut *tx);
        let number = points.call("count", number);
        let entry = Entry {
            key: Some(key.to_owned()),
            number: number.await.map_err(sorted)?,
            id: id.to_owned(),
            attempt: format!("{}-{}", self.writer.place.name, self.ids.uuid()),
        };
        let message = message(TOPIC, &entry)?;
        let Entry {
            number, attempt, ..
        } = &entry;
        let entered = if let Some(fused) = &self.fused {
            let bind = |query: sqlx::query::Query<'static, _, _>| {
                query
                    .bind(id.to_owned())
                    .bind(key.to_owned())
                    .bind(*number)
                    .bind(attempt.clone())
            };
            let query = fused.query(&message, bind)?;
            let entering = query.fetch_optional(&mut *tx);
            let entered = points.call("enter_and_enqueue", entering).await;
            entered.map_err(sorted)?.is_some()
        } else {
            let query = sqlx::query(ENTER)
                .bind(id)
                .bind(key)
                .bind(number)
                .bind(attempt);
            let entered = points.call("enter", query.fetch_optional(&mut *tx)).await;
            let entered = entered.map_err(sorted)?.is_some();
            if entered {
                let enqueuing = self.outbox.enqueue(&mut tx, &message);
                points.call("enqueue", enqueuing).await?;
            }
            entered
        };
        if !entered {
            return Ok(Attempt::WasThere);
        }
        if given_up {
            return Ok(Attempt::RolledBack);
        }
        self.database.commit(tx).await?;
        Ok(Attempt::Committed)
    }
}
