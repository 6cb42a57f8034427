//! What librdkafka reports as a failure, and what the cluster says when it is asked about it.

use std::{collections::BTreeMap, sync::Arc};

use rdkafka::{
    consumer::Consumer as _,
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use super::{Health, LogConsumer, Look, Standing};
use crate::{
    Topic,
    broker::Partition,
    kafka::{error, starts::Question, topics},
};

impl LogConsumer {
    pub(super) fn note_failure(&mut self, failed: KafkaError) {
        if let KafkaError::PartitionEOF(_) = failed {
            return;
        }
        if self.health == Health::Left && self.is_refused_for_good() {
            return self.give_up_client();
        }
        let Some(code) = failed.rdkafka_error_code() else {
            // It did not subscribe.
            self.standing = Standing::Outside;
            self.error = Some(error::sort("joining the group", failed));
            return;
        };
        match code {
            Code::PollExceeded => self.note_exclusion(),
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
                if !std::mem::replace(&mut self.warned, true) {
                    tracing::warn!(
                        group = %self.holdings.group(),
                        topics = ?self.topics,
                        "a topic does not exist: this member waits for it to be created"
                    );
                }
            }
            Code::AutoOffsetReset | Code::OffsetOutOfRange => self.halted = true,
            _ if error::is_final(&failed) => {
                let context = self.client.0.context();
                self.error = Some(context.trouble.explain("reading", failed));
            }
            // One of several nodes may be away, or the cluster is there again.
            _ => self.look(),
        }
    }

    /// With KIP-848, librdkafka may forget that a member left because it was silent. It then sends a
    /// heartbeat that only a member may send, and gives up for good when that is refused.
    fn is_refused_for_good(&self) -> bool {
        let fatal = self.client.0.client().fatal_error();
        fatal.is_some_and(|(code, _)| code == Code::InvalidRequest)
    }

    /// Asks whether the cluster answers.
    pub(super) fn look(&mut self) {
        if self.looking.is_some() {
            return;
        }
        let (client, settings) = (Arc::clone(&self.client.0), Arc::clone(&self.settings));
        let topic = (self.topics.first()).map(|topic: &Topic| topics::full(&settings, topic));
        self.looking = Some(tokio::task::spawn_blocking(move || {
            let asked = client
                .client()
                .fetch_metadata(topic.as_deref(), settings.request_timeout);
            let trouble = &client.context().trouble;
            asked
                .map(|_metadata| Look::Answers)
                .map_err(|cause| trouble.explain("asking the cluster", cause))
        }));
    }

    /// Finds out which record it is that the cluster does not have.
    pub(super) fn look_for_records(&mut self) {
        if self.looking.is_some() {
            return;
        }
        let ends: BTreeMap<Partition, i64> = (self.buffers.ends())
            .map(|(partition, end)| (partition.clone(), end))
            .collect();
        let question = Question {
            settings: Arc::clone(&self.settings),
            client: Arc::clone(&self.client.0),
            group: self.holdings.group().clone(),
            topics: Arc::clone(&self.topics),
            start_at: self.start_at,
            partitions: ends.keys().cloned().collect(),
        };
        self.looking = Some(tokio::task::spawn_blocking(move || {
            question.check(&ends).map(|()| Look::HasRecords)
        }));
    }

    /// The next client begins where the group has committed. librdkafka cannot go on with a partition
    /// that it has stopped reading: it refuses to seek there.
    pub(super) fn give_up_client(&mut self) {
        tracing::info!(group = %self.holdings.group(), "a new client takes the place of one that has stopped reading");
        self.holdings.take_away(&self.holdings.all());
        self.health = Health::Spent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Group, StartAt,
        broker::builder::Subscription,
        kafka::{Builder, line::Incoming},
    };

    #[tokio::test]
    async fn a_member_that_could_not_subscribe_says_so_and_joins_again() {
        let subscription = Subscription {
            group: Group::from_static("g"),
            topics: vec![Topic::from_static("orders")],
            start_at: StartAt::Earliest,
        };
        let builder = Builder::new("127.0.0.1:1".to_owned());
        let mut member = LogConsumer::new(Arc::new(builder.settings), subscription).unwrap();
        member.standing = Standing::Inside;
        let failed = KafkaError::Subscription("as planned".to_owned());
        member.incoming.push_back(Incoming::Failed(failed));
        member.note_incoming();
        let error = member.error.take().unwrap();
        assert!(error.is_retryable(), "{error}");
        assert_eq!(member.standing, Standing::Outside);
    }
}
