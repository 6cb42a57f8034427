//! Publishing: one call at a time, in one or two waves.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::{
    builder::Settings,
    call::Call,
    client::Patience,
    error,
    facts::{Facts, LARGEST_BATCH},
    producer::Producer,
};
use crate::{
    Error, Message,
    broker::{PublishOutcome, Publisher},
};

/// Publishes to a Kafka cluster; an acknowledged message is on all replicas in sync.
///
/// Clones share one connection, and their calls wait for each other. Take a publisher for each task
/// that publishes by itself.
#[derive(Clone, Debug)]
pub struct LogPublisher {
    settings: Arc<Settings>,
    lane: Arc<Mutex<Lane>>,
}

/// What the call that publishes has for itself.
#[derive(Debug, Default)]
struct Lane {
    producer: Option<Producer>,
    facts: Facts,
}

impl LogPublisher {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            lane: Arc::default(),
        }
    }
}

#[async_trait]
impl Publisher for LogPublisher {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        if messages.is_empty() {
            return Vec::new();
        }
        let mut lane = self.lane.lock().await;
        match lane.publish(&self.settings, messages).await {
            Ok(outcomes) => outcomes,
            // It concerns every message alike, and an operator can heal it: nothing is refused.
            Err(failed) => {
                let text = failed.to_string();
                let unknown = |_| PublishOutcome::Unknown(error::unavailable(text.as_str()));
                messages.iter().map(unknown).collect()
            }
        }
    }
}

impl Lane {
    async fn publish(
        &mut self,
        settings: &Arc<Settings>,
        messages: &[Message],
    ) -> Result<Vec<PublishOutcome>, Error> {
        let patience = Patience::of(settings);
        // While the call runs, the producer is the call's. A call that is dropped takes it along,
        // and with it everything that was not sent yet.
        let mut producer = match self.producer.take() {
            Some(producer) if !producer.is_broken() => producer,
            _ => Producer::new(settings, self.facts.batch().min(LARGEST_BATCH))?,
        };
        self.facts
            .learn(settings, &producer, messages, &patience)
            .await?;
        if self.facts.batch() < producer.batch {
            producer = Producer::new(settings, self.facts.batch())?;
        }
        let mut call = Call::plan(messages, &self.facts);
        call.send(settings, &mut producer, &patience).await;
        let (outcomes, failed) = call.finish(&producer);
        if failed {
            self.facts = Facts::default();
        }
        if !failed {
            self.producer = Some(producer);
        }
        Ok(outcomes)
    }
}
