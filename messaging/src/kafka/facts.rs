//! What a publisher knows of its topics.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use mainstay_clock::Monotonic;

use super::{builder::Settings, client::Patience, producer::Producer, topics};
use crate::{Error, Message, Topic};

/// How long facts are taken for true.
const LIFETIME: Duration = Duration::from_secs(300);

/// The largest batch if the topics allow it, in bytes.
pub(super) const LARGEST_BATCH: usize = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct Facts(HashMap<Topic, Fact>);

#[derive(Clone, Copy, Debug)]
pub(super) struct Fact {
    /// At least 1.
    pub(super) partitions: i32,
    /// The largest batch in bytes.
    pub(super) limit: usize,
    until: Monotonic,
}

impl Facts {
    /// What is known of a topic that exists.
    pub(super) fn of(&self, topic: &Topic) -> Option<Fact> {
        self.0.get(topic).copied()
    }

    /// The largest batch that every topic accepts.
    pub(super) fn batch(&self) -> usize {
        let limits = self.0.values().map(|fact| fact.limit);
        limits.min().unwrap_or(LARGEST_BATCH).min(LARGEST_BATCH)
    }

    /// Asks for what is not known yet of the topics of `messages`.
    pub(super) async fn learn(
        &mut self,
        settings: &Arc<Settings>,
        producer: &Producer,
        messages: &[Message],
        patience: &Patience<'_>,
    ) -> Result<(), Error> {
        let now = settings.clock.monotonic();
        self.0.retain(|_, fact| !fact.until.has_passed_at(now));
        let mut last = None;
        let mut unknown = BTreeSet::new();
        for message in messages {
            // Most calls have one topic.
            if last.replace(&message.topic) != Some(&message.topic)
                && !self.0.contains_key(&message.topic)
            {
                unknown.insert(message.topic.clone());
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let mut found = Vec::new();
        for topic in unknown {
            let (name, timeout) = (topics::full(settings, &topic), patience.left());
            let asked = producer
                .ask(move |client| topics::partitions(client, &name, timeout))
                .await?;
            match asked {
                Ok(Some(partitions)) if partitions > 0 => found.push((topic, partitions)),
                Ok(_) => {}
                Err(cause) => return Err(producer.explain("reading about a topic", cause)),
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        let names: Vec<Topic> = found.iter().map(|(topic, _)| topic.clone()).collect();
        let limits = topics::limits(settings, &names).await?;
        let until = now + LIFETIME;
        self.0
            .extend(found.into_iter().filter_map(|(topic, partitions)| {
                let limit = *limits.get(&topic)?;
                let fact = Fact {
                    partitions,
                    limit,
                    until,
                };
                Some((topic, fact))
            }));
        Ok(())
    }
}
