//! Commands and results as they are kept.

use bytes::Bytes;
use mainstay_messaging::{
    Event, Kind, Message, MessageId, Source, Topic,
    event::{DecodeError, JSON, decode},
};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// An event as an instance keeps it: its version and its JSON, digit by digit. It decodes into the
/// current type through the event's upcasters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Document {
    kind: String,
    version: u32,
    payload: Box<RawValue>,
}

impl Document {
    /// The document of an event.
    ///
    /// # Errors
    /// When the event does not serialise.
    pub fn of<E: Event>(event: &E) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: E::KIND.to_owned(),
            version: E::VERSION,
            payload: to_raw_value(event)?,
        })
    }

    /// A document of this kind with any JSON, for results that an operator supplies.
    ///
    /// # Errors
    /// When the text is no JSON.
    pub fn new(
        kind: impl Into<String>,
        version: u32,
        json: &str,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: kind.into(),
            version,
            payload: serde_json::from_str(json)?,
        })
    }

    /// A document that says nothing.
    pub(crate) fn empty() -> Self {
        Self {
            kind: String::new(),
            version: 1,
            payload: RawValue::NULL.to_owned(),
        }
    }

    /// The event in it, upcast to this build's version.
    ///
    /// # Errors
    /// [`DecodeError`] as for a message.
    pub fn read<E: Event>(&self) -> Result<E, DecodeError> {
        let mut message = Message::with_id(
            MessageId::from_static("-"),
            Source::from_static("/saga"),
            Topic::from_static("saga"),
            // A kind that is no valid name is another kind than the event's.
            Kind::new(self.kind.as_str()).unwrap_or_else(|_| Kind::from_static("-")),
        );
        message.version = self.version;
        message.payload = Some(self.payload());
        decode(&message)
    }

    /// The event's kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The version of its schema.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// Its JSON, as it was written.
    #[must_use]
    pub fn json(&self) -> &str {
        self.payload.get()
    }

    fn payload(&self) -> Bytes {
        Bytes::copy_from_slice(self.json().as_bytes())
    }

    /// Writes kind, version and payload into a message.
    pub(crate) fn write_to(&self, message: &mut Message) {
        message.version = self.version;
        message.content_type = Some(JSON.to_owned());
        message.payload = Some(self.payload());
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        (&self.kind, self.version, self.json()) == (&other.kind, other.version, other.json())
    }
}

impl Eq for Document {}
