//! [`Message`]s as `CloudEvents` 1.0 in binary mode, both ways without loss.
//!
//! Topic, key and payload travel beside the headers: on Kafka as the record's topic, key and value
//! (without a payload, a null value). Everything else becomes headers, in this order:
//!
//! | header | of | absent |
//! |---|---|---|
//! | `ce_specversion` | always `1.0` | the record is no event: [`CloudEventError::Missing`] |
//! | `ce_id`, `ce_source`, `ce_type` | id, source, kind | the same; see [`identity`] |
//! | `ce_subject` | subject | none |
//! | `ce_time` | `occurred_at` in the years 0000 to 9999, RFC 3339 in UTC with six digits, or nine if it is finer | none |
//! | `ce_epochnanos` | any other `occurred_at`, as nanoseconds since 1970 | `ce_time` counts |
//! | `content-type` | content type | none |
//! | `ce_schemaversion` | version | 1 |
//! | `ce_correlationid`, `ce_causationid`, `ce_traceparent` | of the same names | none |
//! | any other name | the message's headers, in their order, bytes as they are | |
//!
//! A header of the *message* whose name is in this table (or looks escaped already) is written with
//! [`ESCAPE`] before its name and read back without, so it is never taken for an attribute. Values
//! need no escaping: they are bytes here and on Kafka. Extensions of other systems (`ce_…` with a
//! name not in the table) are headers like any other. Structured mode
//! (`application/cloudevents+json`) is not read: such a record has no `ce_specversion` and stays
//! raw.
//!
//! Every `ce_time` of RFC 3339 is read, with any offset. Digits behind the nanosecond are cut. A leap
//! second `:60` is read as `:59`, because [`SystemTime`](std::time::SystemTime) has no leap seconds.
//!
//! ```
//! use mainstay_messaging::{Message, cloudevents};
//!
//! let message = Message::builder().topic("orders").kind("OrderPlaced").source("/orders").build()?;
//! let headers = cloudevents::write(&message);
//! assert_eq!(headers.get("ce_type").unwrap(), "OrderPlaced");
//! let read = cloudevents::read(message.topic.clone(), None, &headers, None)?;
//! assert_eq!(read, message);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod time;

use std::str;

use bytes::Bytes;

use crate::{Headers, InvalidName, Key, Kind, Message, MessageId, Position, Source, Topic};

/// The prefix of a message's header whose name would otherwise be taken for an attribute.
pub const ESCAPE: &str = "mainstay-header-";

const SPEC_VERSION: &str = "ce_specversion";
const ID: &str = "ce_id";
const SOURCE: &str = "ce_source";
const TYPE: &str = "ce_type";
const SUBJECT: &str = "ce_subject";
const TIME: &str = "ce_time";
const EPOCH_NANOS: &str = "ce_epochnanos";
const CONTENT_TYPE: &str = "content-type";
const SCHEMA_VERSION: &str = "ce_schemaversion";
const CORRELATION_ID: &str = "ce_correlationid";
const CAUSATION_ID: &str = "ce_causationid";
const TRACEPARENT: &str = "ce_traceparent";

const ATTRIBUTES: [&str; 12] = [
    SPEC_VERSION,
    ID,
    SOURCE,
    TYPE,
    SUBJECT,
    TIME,
    EPOCH_NANOS,
    CONTENT_TYPE,
    SCHEMA_VERSION,
    CORRELATION_ID,
    CAUSATION_ID,
    TRACEPARENT,
];

/// Everything of `message` but topic, key and payload.
#[must_use]
pub fn write(message: &Message) -> Headers {
    let mut headers = Headers::new();
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            headers.append(name, Bytes::copy_from_slice(value.as_bytes()));
        }
    };
    put(SPEC_VERSION, Some("1.0"));
    put(ID, Some(message.id.as_str()));
    put(SOURCE, Some(message.source.as_str()));
    put(TYPE, Some(message.kind.as_str()));
    put(SUBJECT, message.subject.as_deref());
    if let Some(occurred_at) = message.occurred_at {
        match time::write(occurred_at) {
            Ok(text) => put(TIME, Some(&text)),
            Err(nanos) => put(EPOCH_NANOS, Some(&nanos.to_string())),
        }
    }
    put(CONTENT_TYPE, message.content_type.as_deref());
    put(SCHEMA_VERSION, Some(&message.version.to_string()));
    put(CORRELATION_ID, message.correlation_id.as_deref());
    put(CAUSATION_ID, message.causation_id.as_deref());
    put(TRACEPARENT, message.traceparent.as_deref());
    for (name, value) in message.headers.iter() {
        if needs_escape(name) {
            headers.append(format!("{ESCAPE}{name}"), value.clone());
        } else {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// Reads back what [`write()`] wrote, and any other binary-mode event.
///
/// # Errors
/// [`CloudEventError`] when the record is no valid `CloudEvents` 1.0 event: keep it raw.
pub fn read(
    topic: Topic,
    key: Option<Key>,
    headers: &Headers,
    payload: Option<Bytes>,
) -> Result<Message, CloudEventError> {
    let (source, kind) = (|text: &str| Source::new(text), |text: &str| Kind::new(text));
    read_fields(topic, key, headers.iter(), payload, source, kind)
}

/// [`read()`], from headers that nobody owns yet: attributes are copied once, and `source` and
/// `kind` may share what they made before.
pub(crate) fn read_fields<'h, V: Value<'h>>(
    topic: Topic,
    key: Option<Key>,
    fields: impl Iterator<Item = (&'h str, V)>,
    payload: Option<Bytes>,
    source: impl FnOnce(&str) -> Result<Source, InvalidName>,
    kind: impl FnOnce(&str) -> Result<Kind, InvalidName>,
) -> Result<Message, CloudEventError> {
    let mut attributes = ATTRIBUTES.map(Attribute::absent);
    let mut headers = Headers::new();
    for (name, value) in fields {
        match attributes.iter_mut().find(|known| known.name == name) {
            Some(attribute) => attribute.note(value.bytes()),
            None => headers.append(unescaped(name), value.owned()),
        }
    }
    let [
        spec_version,
        id,
        source_text,
        kind_text,
        subject,
        rfc3339,
        nanos,
        content_type,
        version,
        correlation_id,
        causation_id,
        traceparent,
    ] = attributes;
    let spec_version = spec_version.required()?;
    if spec_version != "1.0" {
        return Err(CloudEventError::SpecVersion(spec_version.to_owned()));
    }
    let mut message = Message::with_id(
        MessageId::new(id.required()?)?,
        source(source_text.required()?)?,
        topic,
        kind(kind_text.required()?)?,
    );
    message.key = key;
    message.payload = payload;
    if let Some(text) = version.text()? {
        message.version = text.parse().map_err(|error| version.malformed(error))?;
    }
    message.occurred_at = match (nanos.text()?, rfc3339.text()?) {
        (Some(text), _) => Some(time::of_nanos(text).map_err(|error| nanos.malformed(error))?),
        (None, Some(text)) => Some(time::read(text).map_err(|error| rfc3339.malformed(error))?),
        (None, None) => None,
    };
    let owned = |attribute: Attribute<'_>| attribute.text().map(|text| text.map(str::to_owned));
    message.subject = owned(subject)?;
    message.content_type = owned(content_type)?;
    message.correlation_id = owned(correlation_id)?;
    message.causation_id = owned(causation_id)?;
    message.traceparent = owned(traceparent)?;
    message.headers = headers;
    Ok(message)
}

/// The identity of a record that has no `ce_id`: its topic as the source, its partition and offset
/// as the id.
#[must_use]
pub fn identity(position: &Position) -> (Source, MessageId) {
    let id = format!("{}/{}", position.partition.number, position.offset);
    (
        Source::from(&position.partition.topic),
        MessageId::from_safe_text(&id),
    )
}

fn needs_escape(name: &str) -> bool {
    ATTRIBUTES.contains(&name) || unescaped(name) != name
}

/// Removes [`ESCAPE`] where [`write()`] added it, and only there.
fn unescaped(name: &str) -> &str {
    match name.strip_prefix(ESCAPE) {
        Some(rest) if needs_escape(rest) => rest,
        _ => name,
    }
}

/// A header's value.
pub(crate) trait Value<'h>: Copy {
    fn bytes(self) -> &'h [u8];

    fn owned(self) -> Bytes;
}

impl<'h> Value<'h> for &'h Bytes {
    fn bytes(self) -> &'h [u8] {
        self
    }

    fn owned(self) -> Bytes {
        self.clone()
    }
}

impl<'h> Value<'h> for &'h [u8] {
    fn bytes(self) -> &'h [u8] {
        self
    }

    fn owned(self) -> Bytes {
        Bytes::copy_from_slice(self)
    }
}

/// An attribute, as a record has it.
#[derive(Clone, Copy)]
struct Attribute<'h> {
    name: &'static str,
    value: Option<&'h [u8]>,
    repeated: bool,
}

impl<'h> Attribute<'h> {
    const fn absent(name: &'static str) -> Self {
        Self {
            name,
            value: None,
            repeated: false,
        }
    }

    fn note(&mut self, value: &'h [u8]) {
        self.repeated = self.value.replace(value).is_some();
    }

    fn text(&self) -> Result<Option<&'h str>, CloudEventError> {
        if self.repeated {
            return Err(CloudEventError::Repeated(self.name));
        }
        let text = self.value.map(str::from_utf8).transpose();
        text.map_err(|error| self.malformed(error))
    }

    fn required(&self) -> Result<&'h str, CloudEventError> {
        self.text()?.ok_or(CloudEventError::Missing(self.name))
    }

    fn malformed(&self, source: impl std::error::Error + Send + Sync + 'static) -> CloudEventError {
        CloudEventError::Malformed {
            attribute: self.name,
            source: source.into(),
        }
    }
}

/// A record that is no `CloudEvents` 1.0 event in binary mode.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum CloudEventError {
    /// A required attribute is missing.
    #[error("the record has no {0}: it is no CloudEvents event in binary mode")]
    Missing(&'static str),
    /// An attribute is there twice, and must not be guessed.
    #[error("the record has {0} more than once")]
    Repeated(&'static str),
    /// Another version of `CloudEvents`.
    #[error("the record has CloudEvents version {0:?}, this build knows 1.0")]
    SpecVersion(String),
    /// An attribute cannot be read.
    #[error("{attribute} cannot be read")]
    Malformed {
        /// The header's name.
        attribute: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An id, source or type breaks the rules of names.
    #[error("the record holds an invalid name")]
    Name(#[from] InvalidName),
}

#[cfg(test)]
mod tests;
