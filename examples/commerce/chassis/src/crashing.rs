//! Fault points: the process kills itself there, as `kill -9` would.
//!
//! `COMMERCE_CRASH_AT=POINT[:k]` kills the process when it reaches the point for the k-th time
//! (default 1). Points: `before-commit`, `after-commit`, `after-publish`, `after-effect`,
//! `during-migration`.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mainstay_database::{Error as DatabaseError, Transactions};
use mainstay_messaging::{Message, Publisher, broker::PublishOutcome};

use crate::{Remote, db::Database};

/// A role with fault points.
#[derive(Clone, Debug)]
pub(crate) struct Crashing<R>(R);

pub(crate) type Transacting = Crashing<Database>;

pub(crate) const fn transactions(database: Database) -> Transacting {
    Crashing(database)
}

pub(crate) fn migrating() {
    reach("during-migration");
}

pub(crate) fn publisher(publisher: impl Publisher + 'static) -> Arc<dyn Publisher> {
    Arc::new(Crashing(publisher))
}

/// The system, with the fault point `after-effect` behind each answer.
pub fn remote<R: Remote>(remote: R) -> impl Remote<Call = R::Call, Answer = R::Answer> {
    Crashing(remote)
}

#[async_trait]
impl<T: Transactions> Transactions for Crashing<T> {
    type Connection = T::Connection;
    type Transaction = T::Transaction;

    async fn begin(&self) -> Result<T::Transaction, DatabaseError> {
        self.0.begin().await
    }

    async fn commit(&self, transaction: T::Transaction) -> Result<(), DatabaseError> {
        reach("before-commit");
        let committed = self.0.commit(transaction).await;
        reach("after-commit");
        committed
    }

    async fn savepoint(&self, connection: &mut T::Connection) -> Result<(), DatabaseError> {
        self.0.savepoint(connection).await
    }

    async fn release_savepoint(&self, connection: &mut T::Connection) -> Result<(), DatabaseError> {
        self.0.release_savepoint(connection).await
    }

    async fn roll_back_to_savepoint(
        &self,
        connection: &mut T::Connection,
    ) -> Result<(), DatabaseError> {
        self.0.roll_back_to_savepoint(connection).await
    }

    fn idle_limit(&self) -> Option<Duration> {
        self.0.idle_limit()
    }
}

#[async_trait]
impl<P: Publisher> Publisher for Crashing<P> {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        let answers = self.0.publish(messages).await;
        reach("after-publish");
        answers
    }
}

#[async_trait]
impl<R: Remote> Remote for Crashing<R> {
    type Call = R::Call;
    type Answer = R::Answer;

    async fn call(&self, call: R::Call) -> R::Answer {
        let answer = self.0.call(call).await;
        reach("after-effect");
        answer
    }
}

struct Crash {
    point: String,
    visits_left: AtomicU64,
}

fn reach(point: &str) {
    static CRASH: OnceLock<Option<Crash>> = OnceLock::new();
    let crash = CRASH.get_or_init(|| {
        let text = std::env::var("COMMERCE_CRASH_AT").ok()?;
        let (point, count) = text.split_once(':').unwrap_or((&text, "1"));
        Some(Crash {
            point: point.to_owned(),
            visits_left: AtomicU64::new(count.parse().unwrap_or(1)),
        })
    });
    if let Some(crash) = crash
        && crash.point == point
        && crash.visits_left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        let myself = rustix::process::getpid();
        while rustix::process::kill_process(myself, rustix::process::Signal::KILL).is_err() {}
        // The signal is on its way: this thread must not go on.
        loop {
            std::thread::park();
        }
    }
}
