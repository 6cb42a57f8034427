//! Makes effects.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use clap::Args;
use mainstay_clock::Backoff;
use mainstay_database::{Namespace, postgres::classify};
use mainstay_inbox::{
    HandlerError, Handlers, Received, Worker as Working, postgres::PostgresInbox,
};
use mainstay_messaging::{Group, StartAt, Topic};
use mainstay_ports::Ports;
use mainstay_testkit::crash::Points;
use serde_json::json;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use super::{Place, until_it_answers};
use crate::{Entered, Failure, GROUP, TOPIC};

/// Runs a worker of the inbox that inserts an effect per event.
#[derive(Args, Clone, Debug)]
#[non_exhaustive]
pub struct Worker {
    #[command(flatten)]
    place: Place,
    /// How long it keeps its partitions when it stops answering, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    lease: u64,
    /// Messages of a transaction.
    #[arg(long, default_value = "5")]
    batch: NonZeroUsize,
    /// Transactions at once.
    #[arg(long, default_value = "2")]
    concurrency: NonZeroUsize,
    /// How long a handler takes at least, in milliseconds: the longer, the more often there is something in flight.
    #[arg(long, default_value_t = 2)]
    linger: u64,
    /// Topics beside the usual one.
    #[arg(long)]
    also: Vec<String>,
}

/// No UNIQUE on the id: that there is one effect is the inbox's doing.
const MAKE: &str = "INSERT INTO effects (id, key, number, attempt) VALUES ($1, $2, $3, $4)";

async fn make(
    (linger, points): (Duration, Arc<Points>),
    connection: &mut PgConnection,
    received: Received<Entered>,
) -> Result<(), HandlerError> {
    let Received { event, message, .. } = received;
    let making = async {
        sqlx::query(MAKE)
            .bind(message.id.as_str())
            .bind(message.key.as_ref().map(mainstay_messaging::Key::as_str))
            .bind(event.number)
            .bind(&event.attempt)
            .execute(connection)
            .await
            .map_err(|error| HandlerError::retryable(classify(error)))?;
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
        let inbox = PostgresInbox::new(database.clone(), Namespace::plain());
        until_it_answers(async || Ok(inbox.migrate().await?)).await?;
        let mut topics = vec![Topic::from_static(TOPIC)];
        for topic in self.also {
            topics.push(Topic::new(topic).map_err(|error| Failure::Unreadable(error.to_string()))?);
        }
        let group = Group::from_static(GROUP);
        let consumer = broker.consumer(group.clone(), &topics, StartAt::Earliest);
        let points = self.place.points();
        let consumer = Ports::new(consumer, &points);
        let state = (Duration::from_millis(self.linger), Arc::clone(&points));
        let handlers = Handlers::new().on::<Entered, _, _>(state, make);
        let deadline = Duration::from_millis(self.place.idle_limit / 2);
        let database = Arc::new(Ports::new(Arc::new(database), &points));
        let inbox = Arc::new(Ports::new(Arc::new(inbox), &points));
        let worker = Working::new(group, database, inbox, handlers)
            .batch(self.batch)
            .concurrency(self.concurrency)
            .handler_deadline(deadline)
            .backoff(Backoff::new(
                Duration::from_millis(5),
                Duration::from_millis(200),
            ));
        worker.run(consumer, shutdown).await?;
        let stopped: Vec<String> = (worker.status().stopped.iter())
            .map(|key| format!("{}: {}", key.position, key.error))
            .collect();
        Ok(json!({ "name": self.place.name, "stopped": stopped, "calls": points.calls() }))
    }
}
