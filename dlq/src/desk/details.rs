//! One message with everything known about it, as people and programs read it.

use mainstay_messaging::{Headers, broker::Content};
use serde::{Serialize, Serializer};

use super::{Details, FailureRecord};
use crate::letter::DeadLetter;

/// Bytes as text, or in hexadecimal if they are none.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Bytes<'a> {
    Text(&'a str),
    Hex(String),
}

impl<'a> Bytes<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        std::str::from_utf8(bytes).map_or_else(|_| Self::Hex(hex::encode(bytes)), Self::Text)
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    letter: &'a DeadLetter,
    /// Why the record is not a message, if it is none.
    unreadable: Option<&'a str>,
    version: Option<u32>,
    traceparent: Option<&'a str>,
    correlation_id: Option<&'a str>,
    causation_id: Option<&'a str>,
    headers: Vec<(&'a str, Bytes<'a>)>,
    payload: Option<Bytes<'a>>,
    failures: &'a [FailureRecord],
    held: u64,
}

/// The message's fields with its headers, payload and failures. Bytes are `{"text": …}`, or
/// `{"hex": …}` if they are not UTF-8.
impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shown = Shown {
            letter: &self.letter,
            unreadable: None,
            version: None,
            traceparent: None,
            correlation_id: None,
            causation_id: None,
            headers: Vec::new(),
            payload: None,
            failures: &self.failures,
            held: self.held,
        };
        match &self.content {
            Content::Message(message) => {
                shown.headers = texts(&message.headers);
                shown.payload = message.payload.as_deref().map(Bytes::of);
                shown.version = Some(message.version);
                shown.traceparent = message.traceparent.as_deref();
                shown.correlation_id = message.correlation_id.as_deref();
                shown.causation_id = message.causation_id.as_deref();
            }
            Content::Raw(raw) => {
                shown.headers = texts(&raw.headers);
                shown.payload = raw.payload.as_deref().map(Bytes::of);
                shown.unreadable = Some(&raw.reason);
            }
        }
        shown.serialize(serializer)
    }
}

fn texts(headers: &Headers) -> Vec<(&str, Bytes<'_>)> {
    let texts = headers.iter();
    texts
        .map(|(name, value)| (name, Bytes::of(value)))
        .collect()
}
