//! Building a message.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use mainstay_clock::{Clock, IdGenerator, SystemClock, SystemIds};
use serde::Serialize;

use super::Message;
use crate::{
    Error, InvalidName, Key, Kind, MessageId, Source, Topic, envelope,
    event::{AnyEvent, EncodeError, JSON},
};

/// Builds a [`Message`]. Topic, kind and source are needed; an [`event`](Self::event) brings topic
/// and kind.
///
/// Names are given as literals, `String`s or newtypes. [`build`](Self::build) returns the first
/// error.
///
/// ```
/// use mainstay_messaging::Message;
///
/// let message = Message::builder()
///     .topic("orders").kind("OrderPlaced").source("/orders").key("order-7")
///     .json(&serde_json::json!({ "cents": 1250 }))
///     .header("tenant", "blue")
///     .build()?;
/// assert_eq!(message.key.unwrap().as_str(), "order-7");
///
/// let error = Message::builder().topic("").kind("OrderPlaced").source("/orders").build().unwrap_err();
/// assert_eq!(error.to_string(), r#"invalid topic "": it is empty"#);
/// # Ok::<_, mainstay_messaging::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct MessageBuilder {
    /// Names that were not set are empty, which no valid name is.
    message: Message,
    failed: Option<Error>,
    clock: Option<Arc<dyn Clock>>,
    ids: Option<Arc<dyn IdGenerator>>,
}

impl MessageBuilder {
    pub(super) fn new() -> Self {
        Self {
            message: Message::with_id(
                MessageId::unset(),
                Source::unset(),
                Topic::unset(),
                Kind::unset(),
            ),
            failed: None,
            clock: None,
            ids: None,
        }
    }

    /// The stream it belongs to.
    pub fn topic(self, topic: impl TryInto<Topic, Error: Into<InvalidName>>) -> Self {
        self.name(topic, |message, topic| message.topic = topic)
    }

    /// The event type, such as `OrderPlaced`.
    pub fn kind(self, kind: impl TryInto<Kind, Error: Into<InvalidName>>) -> Self {
        self.name(kind, |message, kind| message.kind = kind)
    }

    /// The service that makes it, as a URI reference: `/shop`.
    pub fn source(self, source: impl TryInto<Source, Error: Into<InvalidName>>) -> Self {
        self.name(source, |message, source| message.source = source)
    }

    /// Messages of one (topic, key) stay in order.
    pub fn key(self, key: impl TryInto<Key, Error: Into<InvalidName>>) -> Self {
        self.name(key, |message, key| message.key = Some(key))
    }

    /// Its identity within the source; default a fresh one from [`ids`](Self::ids).
    pub fn id(self, id: impl TryInto<MessageId, Error: Into<InvalidName>>) -> Self {
        self.name(id, |message, id| message.id = id)
    }

    /// Topic, key, kind, version and payload of an event. If the event has no key, a [`key`](Self::key)
    /// that was set before stays.
    pub fn event(mut self, event: &dyn AnyEvent) -> Self {
        let key = self.message.key.take();
        let written = event.write_to(&mut self.message);
        self.message.key = self.message.key.or(key);
        self.note(written.map_err(Into::into))
    }

    /// The body as it is. Without a body, the message is a tombstone.
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.message.payload = Some(payload.into());
        self
    }

    /// The body as JSON, with its content type.
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => {
                self.message.payload = Some(json.into());
                self.message.content_type = Some(JSON.to_owned());
                self
            }
            Err(error) => self.note(Err(EncodeError::new("the payload", error.into()).into())),
        }
    }

    /// Version of the kind's schema, from 1; default 1.
    pub fn version(mut self, version: u32) -> Self {
        self.message.version = version;
        self.note(if version == 0 {
            Err(Error::OutOfLimits {
                what: "the version of a message",
                given: 0,
                limit: "1 or more",
            })
        } else {
            Ok(())
        })
    }

    /// Media type of the payload.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.message.content_type = Some(content_type.into());
        self
    }

    /// What the message is about, within the source.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.message.subject = Some(subject.into());
        self
    }

    /// Adds a header behind those already there.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.message.headers.append(name, value);
        self
    }

    /// Links it to the message that caused it: its causation id is the id of that message, and both
    /// have one correlation id.
    pub fn caused_by(mut self, cause: &Message) -> Self {
        let id = cause.id.as_str();
        self.message.causation_id = Some(id.to_owned());
        let correlation_id = cause.correlation_id.as_deref().unwrap_or(id);
        self.message.correlation_id = Some(correlation_id.to_owned());
        self
    }

    /// Ties together everything that one request caused.
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.message.correlation_id = Some(id.into());
        self
    }

    /// Id of the message or command that caused this one.
    pub fn causation_id(mut self, id: impl Into<String>) -> Self {
        self.message.causation_id = Some(id.into());
        self
    }

    /// W3C trace context of the span that makes it.
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.message.traceparent = Some(traceparent.into());
        self
    }

    /// When it happened, cut to microseconds; default now, by [`clock`](Self::clock).
    pub fn occurred_at(mut self, time: SystemTime) -> Self {
        self.message.occurred_at = Some(cut_to_micros(time));
        self
    }

    /// Where the default of [`occurred_at`](Self::occurred_at) comes from; default the system's
    /// clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Where the default of [`id`](Self::id) comes from; default the system's ids.
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.ids = Some(Arc::new(ids));
        self
    }

    /// The message.
    ///
    /// # Errors
    /// The first value that is not valid: [`Error::InvalidName`], [`Error::OutOfLimits`],
    /// [`Error::Encode`]; [`Error::Incomplete`] without a topic, kind or source.
    pub fn build(self) -> Result<Message, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut message = self.message;
        for (name, missing) in [
            (message.topic.as_str(), "topic"),
            (message.kind.as_str(), "kind"),
            (message.source.as_str(), "source"),
        ] {
            if name.is_empty() {
                return Err(Error::Incomplete { missing });
            }
        }
        if message.id.as_str().is_empty() {
            message.id = match self.ids {
                Some(ids) => MessageId::minted_by(&ids),
                None => MessageId::minted_by(&SystemIds::new()),
            };
        }
        if message.occurred_at.is_none() {
            let now = self
                .clock
                .map_or_else(|| SystemClock::new().now(), |clock| clock.now());
            message.occurred_at = Some(cut_to_micros(now));
        }
        Ok(message)
    }

    fn name<N>(
        mut self,
        name: impl TryInto<N, Error: Into<InvalidName>>,
        set: impl FnOnce(&mut Message, N),
    ) -> Self {
        match name.try_into() {
            Ok(name) => {
                set(&mut self.message, name);
                self
            }
            Err(error) => self.note(Err(error.into().into())),
        }
    }

    /// The first error counts.
    fn note(mut self, result: Result<(), Error>) -> Self {
        self.failed = self.failed.or(result.err());
        self
    }
}

/// Tables and `CloudEvents` have microseconds: a message has the same time before and after its
/// trip.
fn cut_to_micros(time: SystemTime) -> SystemTime {
    envelope::time(envelope::micros(time)).unwrap_or(time)
}
