//! Writes entries, and events about them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use clap::Args;
use mainstay_clock::{IdGenerator as _, SystemIds};
use mainstay_database::{
    Error, Transactions as _,
    postgres::{Database, classify},
};
use mainstay_outbox::{Outbox as _, PostgresOutbox, postgres::CombinedStatement};
use mainstay_ports::Ports;
use mainstay_testkit::{crash::Points, history::Entry};
use parking_lot::Mutex;
use serde_json::json;
use sqlx::{Postgres, postgres::PgArguments, query::Query};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{BACKOFF, Place, until_it_answers};
use crate::{Failure, TOPIC, message, outbox};

/// Makes entries, each in a transaction that also enqueues its event. What fails is tried again with
/// the same id, so that the writer sees what was committed without an answer.
#[derive(Args, Clone, Debug)]
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

/// Entries `committed` and `rolled_back`; attempts `interrupted` before their commit, or with an
/// `unknown` one; how many of these were `found_committed`.
type Counts = Arc<Mutex<BTreeMap<&'static str, u64>>>;

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
    outbox: PostgresOutbox,
    /// Writes the entry and enqueues in one statement; none = two statements.
    combined: Option<CombinedStatement>,
    counts: Counts,
    ids: SystemIds,
}

const COUNT: &str = "INSERT INTO counters AS c (key, last) VALUES ($1, 1)
     ON CONFLICT (key) DO UPDATE SET last = c.last + 1 RETURNING last";
const ENTER: &str = "INSERT INTO entries (id, key, number, attempt) VALUES ($1, $2, $3, $4)
     ON CONFLICT (id) DO NOTHING RETURNING number";

impl Writer {
    /// Writes until `shutdown`, and finishes each entry that was begun. Answers with a summary.
    pub async fn run(self, shutdown: CancellationToken) -> Result<serde_json::Value, Failure> {
        let database = self.place.database().await?;
        let shards = self.place.shards;
        let outbox = until_it_answers(async || outbox(&database, shards).await).await?;
        let (counts, points) = (Counts::default(), self.place.points());
        let mut sessions = JoinSet::new();
        for number in 0..self.sessions {
            let session = Session {
                writer: self.clone(),
                points: Arc::clone(&points),
                database: Ports::new(Arc::new(database.clone()), &points),
                combined: (number % 2 == 1).then(|| outbox.enqueue_with(ENTER)),
                outbox: outbox.clone(),
                counts: Arc::clone(&counts),
                ids: SystemIds::new(),
            };
            sessions.spawn(session.run(shutdown.clone()));
        }
        let announcing =
            tokio::spawn(async move { outbox.announce(shutdown.cancelled_owned()).await });
        while let Some(ended) = sessions.join_next().await {
            ended.map_err(Failure::at("a session"))??;
        }
        announcing.await.map_err(Failure::at("announcing"))?;
        let mut summary = json!(*counts.lock());
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

    fn count(&self, what: &'static str) {
        *self.counts.lock().entry(what).or_default() += 1;
    }

    /// One entry, tried until it is there or its user gives it up.
    async fn entry(&self) -> Result<(), Failure> {
        let id = self.ids.uuid().to_string();
        let key = format!("{}", self.ids.random() % self.writer.keys);
        let given_up = self.ids.random().is_multiple_of(self.writer.rollback);
        let (mut failures, mut asked) = (0, false);
        loop {
            let error = match self.attempt(&id, &key, given_up).await {
                Ok(Attempt::RolledBack) => {
                    self.count("rolled_back");
                    return Ok(());
                }
                Ok(Attempt::WasThere) if !asked => {
                    return Err(Failure::Other(format!("an entry {id} that nobody made")));
                }
                Ok(attempt) => {
                    self.count("committed");
                    if let Attempt::WasThere = attempt {
                        self.count("found_committed");
                    }
                    self.outbox.notify();
                    return Ok(());
                }
                Err(error) if error.is_retryable() => error,
                Err(error) => return Err(error),
            };
            let unknown = matches!(error, Failure::Database(Error::OutcomeUnknown(_)));
            asked |= unknown;
            self.count(if unknown { "unknown" } else { "interrupted" });
            tracing::warn!(%error, "again");
            tokio::time::sleep(BACKOFF.delay(failures, &self.ids)).await;
            failures += 1;
        }
    }

    async fn attempt(&self, id: &str, key: &str, given_up: bool) -> Result<Attempt, Failure> {
        let (points, mut tx) = (&self.points, self.database.begin().await?);
        // Its lock makes the numbers of this key those of its commits.
        let counting = sqlx::query_scalar(COUNT).bind(key).fetch_one(&mut *tx);
        let entry = Entry {
            key: Some(key.to_owned()),
            number: points.call("count", counting).await.map_err(classify)?,
            id: id.to_owned(),
            attempt: format!("{}-{}", self.writer.place.name, self.ids.uuid()),
        };
        let message = message(TOPIC, &entry)?;
        let enter = |query: Query<'static, Postgres, PgArguments>| {
            let query = query.bind(entry.id).bind(entry.key);
            query.bind(entry.number).bind(entry.attempt)
        };
        let entered = if let Some(combined) = &self.combined {
            let query = combined.query(&message, enter)?;
            let entering = query.fetch_optional(&mut *tx);
            points.call("enter_and_enqueue", entering).await
        } else {
            let entering = enter(sqlx::query(ENTER)).fetch_optional(&mut *tx);
            points.call("enter", entering).await
        };
        if entered.map_err(classify)?.is_none() {
            return Ok(Attempt::WasThere);
        }
        if self.combined.is_none() {
            let enqueuing = self.outbox.enqueue(&mut tx, &message);
            points.call("enqueue", enqueuing).await?;
        }
        if given_up {
            return Ok(Attempt::RolledBack);
        }
        self.database.commit(tx).await?;
        Ok(Attempt::Committed)
    }
}
