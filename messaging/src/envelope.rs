//! How tables store a message: everything except topic, key and payload, as one JSON text.
//!
//! Outbox rows and broker records use the same text, people can read it with `json_extract`, and
//! old and new binaries agree on it: a golden test pins it. Fields of a newer build pass through an
//! older one unchanged.

mod unknown;

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Headers, InvalidName, Key, Kind, Message, MessageId, Source, Topic};

pub(crate) use unknown::Unknown;

/// Version of the layout below. A reader refuses a newer one, and the record is kept raw.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    source: Cow<'a, str>,
    kind: Cow<'a, str>,
    version: u32,
    #[serde(default = "first", skip_serializing_if = "is_first")]
    format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Header<'a>>,
    /// Microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    occurred_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causation_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<Cow<'a, str>>,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Header<'a> {
    Text(Cow<'a, str>, Cow<'a, str>),
    /// The third element tells a value in hexadecimal from a text.
    Hex(Cow<'a, str>, Cow<'a, str>, Hexadecimal),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Hexadecimal {
    Hex,
}

const fn first() -> u32 {
    FORMAT
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_first(format: &u32) -> bool {
    *format == FORMAT
}

/// The text to store beside topic, key and payload.
#[must_use]
pub fn write(message: &Message) -> String {
    let envelope = Envelope {
        id: message.id.as_str().into(),
        source: message.source.as_str().into(),
        kind: message.kind.as_str().into(),
        version: message.version,
        format: FORMAT,
        subject: message.subject.as_deref().map(Cow::Borrowed),
        content_type: message.content_type.as_deref().map(Cow::Borrowed),
        headers: message.headers.iter().map(header).collect(),
        occurred_at: message.occurred_at.map(micros_since_epoch),
        correlation_id: message.correlation_id.as_deref().map(Cow::Borrowed),
        causation_id: message.causation_id.as_deref().map(Cow::Borrowed),
        traceparent: message.traceparent.as_deref().map(Cow::Borrowed),
        unknown: message.unknown.clone(),
    };
    // Strings, numbers and arrays of strings always serialise.
    serde_json::to_string(&envelope).unwrap_or_default()
}

fn header<'a>((name, value): (&'a str, &'a Bytes)) -> Header<'a> {
    match str::from_utf8(value) {
        Ok(text) => Header::Text(name.into(), text.into()),
        Err(_) => Header::Hex(name.into(), hex::encode(value).into(), Hexadecimal::Hex),
    }
}

/// Reads back what [`write()`] wrote. Attributes that this build does not know are kept, and
/// written again.
///
/// # Errors
/// [`EnvelopeError`] when the text is damaged or of a newer format: keep the record raw.
pub fn read(
    envelope: &str,
    topic: Topic,
    key: Option<Key>,
    payload: Option<Bytes>,
) -> Result<Message, EnvelopeError> {
    let envelope: Envelope<'_> = serde_json::from_str(envelope).map_err(EnvelopeError::Damaged)?;
    if envelope.format != FORMAT {
        return Err(EnvelopeError::NewerFormat(envelope.format));
    }
    let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
    let mut message = Message::with_id(
        MessageId::new(&*envelope.id)?,
        Source::new(&*envelope.source)?,
        topic,
        Kind::new(&*envelope.kind)?,
    );
    message.key = key;
    message.version = envelope.version;
    message.subject = owned(envelope.subject);
    message.content_type = owned(envelope.content_type);
    message.headers = envelope
        .headers
        .into_iter()
        .map(value)
        .collect::<Result<Headers, EnvelopeError>>()?;
    message.payload = payload;
    message.occurred_at = envelope.occurred_at.map(time_of);
    message.correlation_id = owned(envelope.correlation_id);
    message.causation_id = owned(envelope.causation_id);
    message.traceparent = owned(envelope.traceparent);
    message.unknown = envelope.unknown;
    Ok(message)
}

fn value(header: Header<'_>) -> Result<(String, Bytes), EnvelopeError> {
    Ok(match header {
        Header::Text(name, text) => (name.into_owned(), Bytes::from(text.into_owned())),
        Header::Hex(name, digits, Hexadecimal::Hex) => (
            name.into_owned(),
            Bytes::from(hex::decode(&*digits).map_err(EnvelopeError::Header)?),
        ),
    })
}

/// Whole microseconds since 1970, negative before; what tables store.
#[must_use]
pub fn micros_since_epoch(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => {
            i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros)
        }
    }
}

/// Reads back what [`micros_since_epoch`] wrote.
#[must_use]
pub fn time_of(micros: i64) -> SystemTime {
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 {
        SystemTime::UNIX_EPOCH - distance
    } else {
        SystemTime::UNIX_EPOCH + distance
    }
}

/// A stored message that this build cannot read.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The text is not what this crate writes.
    #[error("the stored envelope is damaged")]
    Damaged(#[source] serde_json::Error),
    /// A newer build wrote it.
    #[error("the stored envelope has format {0}, this build knows {FORMAT}: run a newer build")]
    NewerFormat(u32),
    /// A name in it breaks the rules of names.
    #[error("the stored envelope holds an invalid name")]
    Name(#[from] InvalidName),
    /// A header value in hexadecimal is damaged.
    #[error("a header value of the stored envelope is damaged")]
    Header(#[source] hex::FromHexError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = String> {
        "[^\\p{Cc}]{1,20}"
    }

    prop_compose! {
        fn message()(
            id in name(), source in name(), kind in name(), version in any::<u32>(),
            texts in proptest::collection::vec(proptest::option::of(".{0,20}"), 5),
            headers in proptest::collection::vec((".{0,9}", proptest::collection::vec(any::<u8>(), 0..9)), 0..4),
            occurred_at in proptest::option::of(-1_i64 << 50..1 << 50),
            payload in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..30)),
        ) -> Message {
            let mut message = Message::with_id(
                MessageId::new(id).unwrap(), Source::new(source).unwrap(), Topic::from_static("t"), Kind::new(kind).unwrap(),
            );
            message.version = version;
            let mut texts = texts.into_iter();
            let mut next = || texts.next().flatten();
            (message.subject, message.content_type) = (next(), next());
            (message.correlation_id, message.causation_id, message.traceparent) = (next(), next(), next());
            message.headers = headers.into_iter().collect();
            message.occurred_at = occurred_at.map(time_of);
            message.payload = payload.map(Bytes::from);
            message
        }
    }

    proptest! {
        #[test]
        fn written_text_reads_back_the_same(message in message()) {
            let read = read(&write(&message), message.topic.clone(), None, message.payload.clone()).unwrap();
            prop_assert_eq!(read, message);
        }

        #[test]
        fn damage_is_an_error_and_never_a_panic(cut in 0..60usize) {
            let mut message = Message::with_id(
                MessageId::from_static("1"), Source::from_static("s"), Topic::from_static("t"), Kind::from_static("K"),
            );
            message.headers.append("h", vec![0xff]);
            let text = write(&message);
            prop_assume!(cut < text.len());
            prop_assert!(read(&text[..cut], message.topic, None, None).is_err());
        }
    }

    /// A relay of this build may lie between a writer and a consumer of a newer one.
    #[test]
    fn fields_of_a_newer_build_are_kept() {
        let newer = r#"{"id":"1","source":"/shop","kind":"OrderPlaced","version":1,"subject":"s","deadline":{"at":1700000000000001},"tracestate":"vendor=1"}"#;
        let message = read(newer, Topic::from_static("orders"), None, None).unwrap();
        assert_eq!(write(&message), newer);
        assert_eq!(
            write(&message.clone().with_key(Key::from_static("k"))),
            newer
        );
        let known = newer.split(r#","deadline"#).next().unwrap().to_owned() + "}";
        let without = read(&known, message.topic.clone(), None, None).unwrap();
        assert_eq!(write(&without), known);
        assert!(message.size() >= without.size() + r#"deadline{"at":1700000000000001}"#.len());
    }

    /// The text is in tables of running systems: it may grow, it may not change.
    #[test]
    fn the_stored_text_is_pinned() {
        let mut message = Message::with_id(
            MessageId::from_static("1"),
            Source::from_static("/shop"),
            Topic::from_static("orders"),
            Kind::from_static("OrderPlaced"),
        );
        message.headers.append("a", "b");
        message.headers.append("c", vec![0xff, 0x00]);
        message.occurred_at = Some(time_of(1_700_000_000_000_001));
        assert_eq!(
            write(&message),
            r#"{"id":"1","source":"/shop","kind":"OrderPlaced","version":1,"headers":[["a","b"],["c","ff00","hex"]],"occurred_at":1700000000000001}"#
        );
        let newer = r#"{"id":"1","source":"/shop","kind":"OrderPlaced","version":1,"format":2}"#;
        assert!(matches!(
            read(newer, message.topic, None, None),
            Err(EnvelopeError::NewerFormat(2))
        ));
    }
}
