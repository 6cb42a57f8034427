//! The message: what travels from an outbox through a broker to an inbox.

mod builder;

use std::time::SystemTime;

use bytes::Bytes;
use mainstay_clock::IdGenerator;

use crate::{Headers, Key, Kind, MessageId, Source, Topic, envelope::Unknown};

pub use builder::MessageBuilder;

/// One message. It maps to `CloudEvents` 1.0 both ways without loss.
///
/// Ids are unique only together with [`source`](Self::source).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Message {
    /// Identity within the source.
    pub id: MessageId,
    /// The service that made it.
    pub source: Source,
    /// The stream it belongs to.
    pub topic: Topic,
    /// Messages of one (topic, key) stay in order; without a key there is no order.
    pub key: Option<Key>,
    /// The event type.
    pub kind: Kind,
    /// Version of the event type's schema, from 1.
    pub version: u32,
    /// What the message is about, within the source (`CloudEvents` `subject`).
    pub subject: Option<String>,
    /// Media type of the payload.
    pub content_type: Option<String>,
    /// Extensions and transport headers, in order.
    pub headers: Headers,
    /// The body. Without one, the message is a tombstone.
    pub payload: Option<Bytes>,
    /// When it happened, to the microsecond; any time that the platform has.
    pub occurred_at: Option<SystemTime>,
    /// Ties together everything that one request caused.
    pub correlation_id: Option<String>,
    /// Id of the message or command that caused this one.
    pub causation_id: Option<String>,
    /// W3C trace context of the span that made it.
    pub traceparent: Option<String>,
    /// Fields that a newer build stored with it.
    pub(crate) unknown: Unknown,
}

impl Message {
    /// Builds a message from an event or from its parts; see [`MessageBuilder`].
    pub fn builder() -> MessageBuilder {
        MessageBuilder::new()
    }

    /// A bare message, version 1, without a payload. For brokers and tests;
    /// [`builder`](Self::builder) sets id and time.
    #[must_use]
    pub const fn with_id(id: MessageId, source: Source, topic: Topic, kind: Kind) -> Self {
        Self {
            id,
            source,
            topic,
            key: None,
            kind,
            version: 1,
            subject: None,
            content_type: None,
            headers: Headers::new(),
            payload: None,
            occurred_at: None,
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            unknown: Unknown::NONE,
        }
    }

    /// Sets the key.
    #[must_use]
    pub fn with_key(mut self, key: Key) -> Self {
        self.key = Some(key);
        self
    }

    /// Bytes of payload, headers and texts: about the size in memory and on the wire. The byte
    /// limits of relay, worker and brokers count it.
    #[must_use]
    pub fn size(&self) -> usize {
        let option = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.payload.as_ref().map_or(0, Bytes::len)
            + self.headers.size()
            + self.id.as_str().len()
            + self.source.as_str().len()
            + self.topic.as_str().len()
            + self.kind.as_str().len()
            + self.key.as_ref().map_or(0, |key| key.as_str().len())
            + option(&self.subject)
            + option(&self.content_type)
            + option(&self.correlation_id)
            + option(&self.causation_id)
            + option(&self.traceparent)
            + self.unknown.size()
    }
}

impl MessageId {
    /// A fresh id, a `UUIDv7` with the default generator.
    #[must_use]
    pub fn minted_by(ids: &(impl IdGenerator + ?Sized)) -> Self {
        let mut text = uuid::Uuid::encode_buffer();
        Self::from_safe_text(ids.uuid().hyphenated().encode_lower(&mut text))
    }
}
