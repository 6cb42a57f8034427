//! Publishes what was committed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use clap::Args;
use mainstay_clock::Backoff;
use mainstay_messaging::{Message, Publisher, broker::PublishOutcome, sqlite::LogPublisher};
use mainstay_outbox::Relay as Publishing;
use mainstay_ports::Ports;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{BACKOFF, Place, until_it_answers};
use crate::{Failure, outbox};

/// Runs a relay of the outbox, and wakes it when writers announce commits.
#[derive(Args, Clone, Debug)]
pub struct Relay {
    #[command(flatten)]
    place: Place,
    /// Its lease, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    lease: u64,
    /// Messages of a round: the fewer, the more moments there are for faults.
    #[arg(long, default_value_t = 20)]
    batch: u32,
    /// How many milliseconds a send takes at least, half of them before anything is stored.
    #[arg(long, default_value_t = 4)]
    linger: u64,
}

/// A slow broker: most faults hit a relay around an append, before it has recorded it.
struct Slow {
    publisher: LogPublisher,
    half: Duration,
}

#[async_trait]
impl Publisher for Slow {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        tokio::time::sleep(self.half).await;
        let answers = self.publisher.publish(messages).await;
        tokio::time::sleep(self.half).await;
        answers
    }
}

impl Relay {
    /// Publishes until `shutdown`. Answers with a summary.
    pub async fn run(self, shutdown: CancellationToken) -> Result<serde_json::Value, Failure> {
        let database = self.place.database().await?;
        let shards = self.place.shards;
        let outbox = until_it_answers(async || outbox(&database, shards).await).await?;
        let broker = self.place.broker(Duration::from_secs(5)).await?;
        let points = self.place.points();
        let slow = Arc::new(Slow {
            publisher: broker.publisher(),
            half: Duration::from_millis(self.linger) / 2,
        });
        let slow = Ports::new(slow, &points);
        let store = Ports::new(Arc::new(outbox.clone()), &points);
        let refusals = Backoff::new(Duration::from_millis(20), Duration::from_millis(100));
        let relay = Publishing::new(store, slow)
            .lease(Duration::from_millis(self.lease))
            .poll_interval(Duration::from_millis(100))
            .batch_size(self.batch)
            .batch_bytes(1 << 20)
            .refusal_backoff(refusals)
            .backoff(BACKOFF);
        let handle = relay.handle();
        let ends = shutdown.clone().cancelled_owned();
        let listening = tokio::spawn(async move { outbox.listen(ends).await });
        relay.run_until(shutdown.cancelled_owned()).await?;
        listening.await.map_err(Failure::at("listening"))?;
        let (name, published) = (self.place.name, handle.status().published);
        Ok(json!({ "name": name, "published": published, "calls": points.calls() }))
    }
}
