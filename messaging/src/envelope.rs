//! How tables store a message: everything except topic, key and payload, as one JSON text.
//!
//! Outbox rows and broker records use the same text, people can read it with `json_extract`, and
//! old and new binaries agree on it: a golden test pins it. Fields of a newer build pass through an
//! older one unchanged, byte for byte, behind the fields that it knows.

mod layout;
mod unknown;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::de::Error as _;

use crate::{Headers, InvalidName, Key, Kind, Message, MessageId, Source, Topic};
use layout::{Envelope, Header, Hexadecimal, Stored, Text};

pub(crate) use unknown::Unknown;

/// Version of the layout. A reader refuses a newer one, and the record is kept raw.
const FORMAT: u32 = FIRST_FORMAT;

/// A text without a format number has this one.
const FIRST_FORMAT: u32 = 1;

/// The text to store beside topic, key and payload.
#[must_use]
pub fn write(message: &Message) -> String {
    let headers = (!message.headers.is_empty()).then(|| message.headers.iter().map(header));
    let envelope = Envelope {
        id: Some(message.id.as_str().into()),
        source: Some(message.source.as_str().into()),
        kind: Some(message.kind.as_str().into()),
        version: Some(message.version),
        format: (FORMAT != FIRST_FORMAT).then_some(FORMAT),
        subject: message.subject.as_deref().map(Text::from),
        content_type: message.content_type.as_deref().map(Text::from),
        headers: headers.map(Iterator::collect),
        occurred_at: message.occurred_at.map(micros),
        correlation_id: message.correlation_id.as_deref().map(Text::from),
        causation_id: message.causation_id.as_deref().map(Text::from),
        traceparent: message.traceparent.as_deref().map(Text::from),
    };
    // Strings, numbers and arrays of strings always serialise.
    let mut json = serde_json::to_string(&envelope).unwrap_or_default();
    message.unknown.write_into(&mut json);
    json
}

fn header<'a>((name, value): (&'a str, &'a Bytes)) -> Header<'a> {
    match str::from_utf8(value) {
        Ok(text) => Header::Text(name.into(), text.into()),
        Err(_) => Header::Hex(name.into(), hex::encode(value).into(), Hexadecimal::Hex),
    }
}

/// Reads back what [`write()`] wrote. Attributes that this build does not know are kept, and
/// written again byte for byte.
///
/// # Errors
/// [`EnvelopeError`] when the text is damaged or of a newer format: keep the record raw.
pub fn read(
    envelope: &str,
    topic: Topic,
    key: Option<Key>,
    payload: Option<Bytes>,
) -> Result<Message, EnvelopeError> {
    let Stored { known, unknown } =
        serde_json::from_str(envelope).map_err(EnvelopeError::Damaged)?;
    let format = known.format.unwrap_or(FIRST_FORMAT);
    if format != FORMAT {
        return Err(EnvelopeError::NewerFormat(format));
    }
    let owned = |text: Option<Text<'_>>| text.map(|Text(text)| text.into_owned());
    let mut message = Message::with_id(
        MessageId::new(required(known.id, "id")?.0)?,
        Source::new(required(known.source, "source")?.0)?,
        topic,
        Kind::new(required(known.kind, "kind")?.0)?,
    );
    message.key = key;
    message.version = required(known.version, "version")?;
    message.subject = owned(known.subject);
    message.content_type = owned(known.content_type);
    message.headers = known
        .headers
        .into_iter()
        .flatten()
        .map(value)
        .collect::<Result<Headers, EnvelopeError>>()?;
    message.payload = payload;
    message.occurred_at = known
        .occurred_at
        .map(|micros| time(micros).ok_or(EnvelopeError::Time(micros)))
        .transpose()?;
    message.correlation_id = owned(known.correlation_id);
    message.causation_id = owned(known.causation_id);
    message.traceparent = owned(known.traceparent);
    message.unknown = unknown;
    Ok(message)
}

fn required<T>(value: Option<T>, name: &'static str) -> Result<T, EnvelopeError> {
    value.ok_or_else(|| EnvelopeError::Damaged(serde_json::Error::missing_field(name)))
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

/// Whole microseconds since 1970, negative before; what tables store. A time that does not fit,
/// 292,000 years from 1970, is the nearest one that does.
#[must_use]
pub fn micros_since_epoch(time: SystemTime) -> i64 {
    let micros = micros(time);
    i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
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

/// Microseconds since 1970. A finer time is cut to the one before it.
pub(crate) fn micros(time: SystemTime) -> i128 {
    let (nanos, sign) = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => (after.as_nanos(), 1),
        Err(before) => (before.duration().as_nanos(), -1),
    };
    (i128::try_from(nanos).unwrap_or(i128::MAX) * sign).div_euclid(1_000)
}

/// None if the platform has no such time.
pub(crate) fn time(micros: i128) -> Option<SystemTime> {
    let seconds = u64::try_from(micros.div_euclid(1_000_000).unsigned_abs()).ok()?;
    let seconds = Duration::from_secs(seconds);
    let second = if micros < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(seconds)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(seconds)
    };
    let rest = u64::try_from(micros.rem_euclid(1_000_000)).ok()?;
    second?.checked_add(Duration::from_micros(rest))
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
    /// Its time is none of this platform.
    #[error(
        "the stored envelope is of {0} microseconds since 1970, which this platform cannot express"
    )]
    Time(i128),
    /// A header value in hexadecimal is damaged.
    #[error("a header value of the stored envelope is damaged")]
    Header(#[source] hex::FromHexError),
}

#[cfg(test)]
mod tests;
