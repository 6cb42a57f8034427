//! Makes effects.

use std::{sync::Arc, time::Duration};

use clap::Args;
use mainstay_dlq::DeadLetterQueue;
use mainstay_inbox::{
    HandlerError, Inbox, PostgresInbox, Received, Status, Worker as Working, store::WorkerStore,
};
use mainstay_messaging::{Consumer, Key};
use mainstay_ports::{InboxPorts, Ports};
use mainstay_testkit::crash::Points;
use serde_json::json;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use super::{BACKOFF, Place, until_it_answers};
use crate::{Entered, Failure, GROUP, TOPIC};

/// Runs a worker of the inbox that inserts an effect per event.
#[derive(Args, Clone, Debug)]
pub struct Worker {
    #[command(flatten)]
    place: Place,
    /// How long it keeps its partitions when it stops answering, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    lease: u64,
    /// Messages of a transaction.
    #[arg(long, default_value_t = 5)]
    batch: usize,
    /// Transactions at once.
    #[arg(long, default_value_t = 2)]
    concurrency: usize,
    /// How many milliseconds a handler takes at least, so that something is in flight.
    #[arg(long, default_value_t = 2)]
    linger: u64,
    /// Keeps what it cannot handle in a dead letter queue. While the table `healed` is empty, it
    /// cannot handle each n-th message of a key.
    #[arg(long)]
    poison: Option<i64>,
    /// Topics beside the usual one.
    #[arg(long)]
    also: Vec<String>,
}

/// No UNIQUE on the id: that there is one effect is the inbox's doing.
const MAKE: &str = "INSERT INTO effects (id, key, number, attempt) VALUES ($1, $2, $3, $4)";

/// How a handler makes effects.
#[derive(Clone)]
pub(super) struct Making {
    pub(super) linger: Duration,
    pub(super) points: Arc<Points>,
    pub(super) poison: Option<i64>,
}

pub(super) async fn make(
    connection: &mut PgConnection,
    received: Received<Entered>,
    Making {
        linger,
        points,
        poison,
    }: Making,
) -> Result<(), HandlerError> {
    let Received { event, message, .. } = received;
    let making = async {
        if poison.is_some_and(|every| event.number % every == 0) {
            let healed: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM healed)")
                .fetch_one(&mut *connection)
                .await?;
            if !healed {
                return Err(HandlerError::permanent("not healed yet"));
            }
        }
        sqlx::query(MAKE)
            .bind(message.id.as_str())
            .bind(message.key.as_ref().map(Key::as_str))
            .bind(event.number)
            .bind(&event.attempt)
            .execute(connection)
            .await
            .map_err(HandlerError::retryable)?;
        tokio::time::sleep(linger).await;
        Ok(())
    };
    points.call("handle", making).await
}

impl Worker {
    /// Works until `shutdown`. Answers with a summary.
    pub async fn run(self, shutdown: CancellationToken) -> Result<serde_json::Value, Failure> {
        let database = self.place.database().await?;
        let broker = self.place.broker(Duration::from_millis(self.lease)).await?;
        let opening = async || Ok(PostgresInbox::builder(&database).open().await?);
        let inbox = until_it_answers(opening).await?;
        let topics = self.also.iter().map(String::as_str).chain([TOPIC]);
        let consumer = broker.consumer(GROUP).subscribe(topics).await?;
        let points = self.place.points();
        let state = Making {
            linger: Duration::from_millis(self.linger),
            points: Arc::clone(&points),
            poison: self.poison,
        };
        if self.poison.is_some() {
            let opening = async || Ok(DeadLetterQueue::builder(inbox.clone()).open().await?);
            let queue = until_it_answers(opening).await?;
            let worker = queue.worker(consumer).with_state(state);
            return self.work(worker, &points, shutdown).await;
        }
        let consumer = Ports::new(consumer, &points);
        let worker = Working::new(InboxPorts::new(inbox, &points), consumer).with_state(state);
        self.work(worker, &points, shutdown).await
    }

    async fn work<I, K>(
        self,
        worker: Working<I, K, Making>,
        points: &Points,
        shutdown: CancellationToken,
    ) -> Result<serde_json::Value, Failure>
    where
        I: WorkerStore + Inbox<Connection = PgConnection>,
        K: Consumer,
    {
        let worker = worker
            .on(make)
            .batch_size(self.batch)
            .concurrency(self.concurrency)
            .handler_deadline(Duration::from_millis(self.place.idle_limit / 2))
            .backoff(BACKOFF);
        // The status of a worker that has ended is empty: it is read when the end begins.
        let (handle, mut status) = (worker.handle(), Status::default());
        let ending = async {
            shutdown.cancelled().await;
            status = handle.status();
        };
        worker.run_until(ending).await?;
        let blocked = status.blocked_keys.into_iter();
        let blocked: Vec<String> = blocked
            .map(|key| format!("{}: {}", key.position, key.error))
            .collect();
        Ok(json!({ "name": self.place.name, "blocked": blocked, "calls": points.calls() }))
    }
}
