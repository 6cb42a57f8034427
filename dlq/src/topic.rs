//! A dead letter topic, for consumers without a database of their own.

use std::fmt;

use async_trait::async_trait;
use mainstay_inbox::{
    Error,
    failure::{Failure, FailureOutcome, FailurePolicy},
};
use mainstay_messaging::{
    Delivery, Group, InvalidName, Kind, Message, MessageId, Publisher, Source, Topic,
    broker::{Content, PublishOutcome},
};

use crate::store::Fault;

/// The kind of a message that carries a record which was not one.
const UNREADABLE: &str = "UnreadableRecord";

/// A [`FailurePolicy`] that publishes what cannot be handled to a topic, and lets its key go on.
///
/// For consumers whose effect is not in a database that could hold a
/// [`DeadLetterQueue`](crate::DeadLetterQueue). The message is acknowledged only once the broker has
/// the copy. It keeps id, source, key and payload; headers say where it was and why it failed:
/// `dlq-consumer`, `dlq-position`, `dlq-failure`, `dlq-attempts`, `dlq-error`, `dlq-fingerprint`.
///
/// **Not guaranteed:** the order of its key, since later messages are handled at once; and one copy,
/// since a crash behind the publication repeats it, with the same id.
#[derive(Clone)]
pub struct DeadLetterTopic<P> {
    publisher: P,
    topic: Topic,
}

impl<P: Publisher> DeadLetterTopic<P> {
    /// Publishes to `topic`, which must exist.
    ///
    /// # Errors
    /// [`InvalidName`] if `topic` is no name of a topic.
    pub fn new<T>(publisher: P, topic: T) -> Result<Self, InvalidName>
    where
        T: TryInto<Topic>,
        T::Error: Into<InvalidName>,
    {
        let topic = topic.try_into().map_err(Into::into)?;
        Ok(Self { publisher, topic })
    }

    fn copy(
        &self,
        consumer: &Group,
        delivery: &Delivery,
        fault: &Fault,
    ) -> Result<Message, InvalidName> {
        let mut message = match &delivery.content {
            Content::Message(message) => message.clone(),
            Content::Raw(raw) => {
                let id = MessageId::new(delivery.position.to_string())?;
                let source = Source::new(format!("/dlq/{consumer}"))?;
                let kind = Kind::from_static(UNREADABLE);
                let mut message = Message::with_id(id, source, self.topic.clone(), kind);
                message.headers = raw.headers.clone();
                message.payload.clone_from(&raw.payload);
                if let Some(key) = &raw.key {
                    message.headers.append("dlq-key", key.clone());
                }
                message
            }
        };
        message.topic = self.topic.clone();
        let position = delivery.position.to_string();
        let headers = &mut message.headers;
        headers.append("dlq-consumer", consumer.to_string());
        headers.append("dlq-position", position);
        headers.append("dlq-failure", fault.kind);
        headers.append("dlq-attempts", fault.attempts.to_string());
        headers.append("dlq-error", fault.error.clone());
        headers.append("dlq-fingerprint", fault.fingerprint.clone());
        Ok(message)
    }
}

impl<P> fmt::Debug for DeadLetterTopic<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterTopic")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<P: Publisher> FailurePolicy for DeadLetterTopic<P> {
    async fn on_failure(
        &self,
        consumer: &Group,
        delivery: &Delivery,
        failure: &Failure,
    ) -> Result<FailureOutcome, Error> {
        let fault = Fault::of(consumer, delivery, failure, &[]);
        let copy = self.copy(consumer, delivery, &fault);
        let copy = copy.map_err(|error| Error::FailurePolicy(error.into()))?;
        match self.publisher.publish(&[copy]).await.pop() {
            Some(PublishOutcome::Acknowledged) => Ok(FailureOutcome::DeadLettered),
            Some(PublishOutcome::Refused(error) | PublishOutcome::Unknown(error)) => {
                Err(Error::FailurePolicy(error.into()))
            }
            None => Err(Error::FailurePolicy("the publisher gave no answer".into())),
        }
    }
}
