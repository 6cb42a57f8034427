//! One call of `publish`.

use std::collections::HashSet;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::{
    builder::Settings,
    client::Patience,
    error::{self, is_of_credentials, is_refusal},
    facts::Facts,
    producer::Producer,
    record::Outgoing,
    topics,
};
use crate::{
    Error, Message, Topic,
    broker::{
        PrefixRule, PublishOutcome,
        partitioner::{partition_of, spread_by},
    },
};

/// Messages are handed over in portions, so that other tasks have their turn in between.
const PORTION: usize = 256;

/// A call: the outcomes known so far, and what is to be sent.
pub(super) struct Call<'m> {
    messages: &'m [Message],
    /// None: it depends on the answer.
    outcomes: Vec<Option<PublishOutcome>>,
    planned: Vec<Planned<'m>>,
    timed_out: bool,
    /// Whether librdkafka took no more messages.
    cut_short: bool,
}

struct Planned<'m> {
    number: usize,
    outgoing: Outgoing<'m>,
    topic: &'m Topic,
    partition: i32,
}

impl<'m> Call<'m> {
    /// Refuses what the cluster would refuse, and everything behind it in its key.
    pub(super) fn plan(messages: &'m [Message], facts: &Facts) -> Self {
        let mut rule = PrefixRule::new();
        let mut planned = Vec::with_capacity(messages.len());
        let outcomes = (0..)
            .zip(messages)
            .map(|(number, message)| {
                if rule.is_stopped(message) {
                    return Some(PublishOutcome::Unknown(Error::NotTried));
                }
                let refused = match facts.of(&message.topic) {
                    None => Error::UnknownTopic(message.topic.clone()),
                    Some(fact) => {
                        let outgoing = Outgoing::new(message);
                        let size = outgoing.size();
                        if size <= fact.limit {
                            planned.push(Planned {
                                number,
                                outgoing,
                                topic: &message.topic,
                                partition: partition_of(spread_by(message), fact.partitions),
                            });
                            return None;
                        }
                        Error::TooLarge {
                            size,
                            limit: fact.limit,
                        }
                    }
                };
                rule.stop(message);
                Some(PublishOutcome::Refused(refused))
            })
            .collect();
        Self {
            messages,
            outcomes,
            planned,
            timed_out: false,
            cut_short: false,
        }
    }

    /// Sends what is planned and waits for the answers, as long as there is patience.
    ///
    /// The cluster refuses what is behind a failed batch, but only where it knows the producer. So
    /// the first message to each new partition goes alone.
    pub(super) async fn send(
        &mut self,
        settings: &Settings,
        producer: &mut Producer,
        patience: &Patience<'_>,
    ) {
        producer.expect(self.messages.len());
        let planned = std::mem::take(&mut self.planned);
        let mut ahead = HashSet::new();
        let (pilots, rest): (Vec<_>, Vec<_>) = planned.into_iter().partition(|planned| {
            let partition = (planned.topic.clone(), planned.partition);
            !producer.proven.contains(&partition) && ahead.insert(partition)
        });
        self.wave(settings, producer, patience, pilots).await;
        // Otherwise a partition is not proven, and the producer is broken anyway.
        if self.all_taken(producer) {
            producer.proven.extend(ahead);
            self.wave(settings, producer, patience, rest).await;
        } else {
            self.do_not_try(&rest);
        }
    }

    async fn wave(
        &mut self,
        settings: &Settings,
        producer: &Producer,
        patience: &Patience<'_>,
        wave: Vec<Planned<'m>>,
    ) {
        let (mut topic, mut name) = (None, String::new());
        for (sent, planned) in wave.iter().enumerate() {
            if topic != Some(planned.topic) {
                topic = Some(planned.topic);
                name = topics::full(settings, planned.topic);
            }
            let record = planned
                .outgoing
                .record(&name, planned.partition, planned.number);
            if let Err(failed) = producer.send(record) {
                tracing::debug!(%failed, "librdkafka takes no more messages in this call");
                let code = failed.rdkafka_error_code().unwrap_or(Code::Unknown);
                let outcome = failure(&self.messages[planned.number], code, producer);
                self.outcomes[planned.number] = Some(outcome);
                self.do_not_try(&wave[sent + 1..]);
                self.cut_short = true;
                break;
            }
            if sent % PORTION == PORTION - 1 {
                tokio::task::yield_now().await;
            }
        }
        let waiting = tokio::time::timeout(patience.left(), producer.answered());
        self.timed_out |= waiting.await.is_err();
    }

    fn do_not_try(&mut self, planned: &[Planned<'m>]) {
        for planned in planned {
            self.outcomes[planned.number] = Some(PublishOutcome::Unknown(Error::NotTried));
        }
    }

    fn all_taken(&self, producer: &Producer) -> bool {
        !self.timed_out
            && !self.cut_short
            && (producer.answers().iter()).all(|answer| matches!(answer, None | Some(Ok(()))))
    }

    /// The outcomes, and whether something that was sent was not taken.
    pub(super) fn finish(self, producer: &Producer) -> (Vec<PublishOutcome>, bool) {
        let mut failed = self.timed_out || self.cut_short;
        let answers = producer.answers();
        let outcomes = (self.outcomes.into_iter().zip(answers).zip(self.messages))
            .map(|((outcome, answer), message)| match (outcome, answer) {
                (Some(outcome), _) => outcome,
                (None, Some(Ok(()))) => PublishOutcome::Acknowledged,
                (None, Some(Err(code))) => {
                    failed = true;
                    failure(message, code, producer)
                }
                (None, None) => {
                    failed = true;
                    let late = KafkaError::MessageProduction(Code::MessageTimedOut);
                    PublishOutcome::Unknown(retryable(producer.explain("publishing", late)))
                }
            })
            .collect();
        (outcomes, failed)
    }
}

fn failure(message: &Message, code: Code, producer: &Producer) -> PublishOutcome {
    match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition => {
            PublishOutcome::Refused(Error::UnknownTopic(message.topic.clone()))
        }
        code if is_refusal(code) && !is_of_credentials(code) => {
            let cause = KafkaError::MessageProduction(code);
            PublishOutcome::Refused(error::sort("publishing", cause))
        }
        // Too large among them: the limit of the topic has changed, and is read anew.
        code => {
            let cause = KafkaError::MessageProduction(code);
            PublishOutcome::Unknown(retryable(producer.explain("publishing", cause)))
        }
    }
}

/// What concerns every message alike is not the message's fault.
fn retryable(error: Error) -> Error {
    match error {
        Error::Refused(source) => Error::Unavailable(source),
        error => error,
    }
}
