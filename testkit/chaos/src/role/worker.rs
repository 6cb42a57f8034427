//! Makes effects.

use std::{sync::Arc, time::Duration};

use clap::Args;
use mainstay_inbox::{HandlerError, PostgresInbox, Received, Status, Worker as Working};
use mainstay_messaging::Key;
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
    /// Topics beside the usual one.
    #[arg(long)]
    also: Vec<String>,
}

/// No UNIQUE on the id: that there is one effect is the inbox's doing.
const MAKE: &str = "INSERT INTO effects (id, key, number, attempt) VALUES ($1, $2, $3, $4)";

async fn make(
    connection: &mut PgConnection,
    received: Received<Entered>,
    (linger, points): (Duration, Arc<Points>),
) -> Result<(), HandlerError> {
    let Received { event, message, .. } = received;
    let making = async {
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
        let consumer = Ports::new(consumer, &points);
        let state = (Duration::from_millis(self.linger), Arc::clone(&points));
        let worker = Working::new(InboxPorts::new(inbox, &points), consumer)
            .with_state(state)
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
