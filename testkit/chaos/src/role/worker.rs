//! Makes effects.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use clap::Args;
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
        let made = sqlx::query(MAKE)
            .bind(message.id.as_str())
            .bind(message.key.as_ref().map(mainstay_messaging::Key::as_str))
            .bind(event.number)
            .bind(&event.attempt)
            .execute(connection)
            .await;
        made.map_err(|error| HandlerError::retryable(classify(error)))?;
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
        let also = self.also.into_iter().map(Topic::new);
        let mut topics: Vec<Topic> = also
            .collect::<Result<_, _>>()
            .map_err(Failure::at("--also"))?;
        topics.push(Topic::from_static(TOPIC));
        let group = Group::from_static(GROUP);
        let points = self.place.points();
        let consumer = broker.consumer(group.clone(), &topics, StartAt::Earliest);
        let consumer = Ports::new(consumer, &points);
        let state = (Duration::from_millis(self.linger), Arc::clone(&points));
        let handlers = Handlers::new().on::<Entered, _, _>(state, make);
        let database = Arc::new(Ports::new(Arc::new(database), &points));
        let inbox = Arc::new(Ports::new(Arc::new(inbox), &points));
        let worker = Working::new(group, database, inbox, handlers)
            .batch(self.batch)
            .concurrency(self.concurrency)
            .handler_deadline(Duration::from_millis(self.place.idle_limit / 2))
            .backoff(BACKOFF);
        worker.run(consumer, shutdown).await?;
        let stopped = worker.status().stopped.into_iter();
        let stopped: Vec<String> = stopped
            .map(|key| format!("{}: {}", key.position, key.error))
            .collect();
        Ok(json!({ "name": self.place.name, "stopped": stopped, "calls": points.calls() }))
    }
}
