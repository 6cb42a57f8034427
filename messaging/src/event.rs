//! Typed events with versions: an old payload always decodes into today's type.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Kind, Message};

/// Media type of the JSON codec.
pub const JSON: &str = "application/json";

/// An event type: a kind, today's version of its schema, and the way up from every older version.
///
/// ```
/// use mainstay_messaging::event::{Event, UpcastError, Upcaster, decode, encode};
/// # use mainstay_messaging::{Kind, Message, MessageId, Source, Topic};
/// use serde::{Deserialize, Serialize};
/// use serde_json::{Value, json};
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// struct Renamed { given_name: String, family_name: String }
///
/// impl Event for Renamed {
///     const KIND: &'static str = "Renamed";
///     const VERSION: u32 = 2;
///     const UPCASTERS: &'static [Upcaster] = &[split_name]; // v1 → v2
/// }
///
/// fn split_name(v1: Value) -> Result<Value, UpcastError> {
///     let name = v1["name"].as_str().ok_or("no `name`")?;
///     let (given, family) = name.split_once(' ').ok_or("`name` is one word")?;
///     Ok(json!({ "given_name": given, "family_name": family }))
/// }
///
/// # let mut message = Message::with_id(MessageId::from_static("1"), Source::from_static("s"), Topic::from_static("t"), Kind::from_static("Renamed"));
/// message.version = 1;
/// message.payload = Some(r#"{"name":"Ada Lovelace"}"#.into());
/// assert_eq!(decode::<Renamed>(&message)?.family_name, "Lovelace");
/// # Ok::<_, mainstay_messaging::event::DecodeError>(())
/// ```
///
/// A version without a way up to it does not compile:
///
/// ```compile_fail,E0080
/// # use mainstay_messaging::{Message, event::{Event, DecodeError, decode}};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// struct Renamed { given_name: String, family_name: String }
///
/// impl Event for Renamed {
///     const KIND: &'static str = "Renamed";
///     const VERSION: u32 = 2; // and no upcaster from version 1
/// }
///
/// fn read(message: &Message) -> Result<Renamed, DecodeError> {
///     decode(message) // error: one upcaster per older version
/// }
/// # let _ = read as fn(&Message) -> Result<Renamed, DecodeError>;
/// ```
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The event type's name, as in [`Message::kind`].
    const KIND: &'static str;

    /// Today's version, from 1. It rises when the payload changes in a way that old readers or old payloads
    /// do not survive; an added optional field is no such change.
    const VERSION: u32;

    /// One step per older version, v1→v2 first: exactly `VERSION - 1` of them, checked at compile time.
    const UPCASTERS: &'static [Upcaster] = &[];
}

/// Turns a payload of one version into the next version's.
pub type Upcaster = fn(Value) -> Result<Value, UpcastError>;

/// Why a payload could not be brought to the next version.
pub type UpcastError = Box<dyn std::error::Error + Send + Sync>;

/// Writes `event` into `message`: kind, version, content type and payload.
///
/// # Errors
/// [`EncodeError`] when the event does not serialise, such as a map with keys that are no strings.
pub fn encode<E: Event>(event: &E, message: &mut Message) -> Result<(), EncodeError> {
    let () = const {
        assert!(
            E::UPCASTERS.len() + 1 == E::VERSION as usize,
            "one upcaster per older version"
        );
    };
    let failed = |source: UpcastError| EncodeError {
        kind: E::KIND,
        source,
    };
    let payload = serde_json::to_vec(event).map_err(|error| failed(error.into()))?;
    message.kind = Kind::new(E::KIND).map_err(|error| failed(error.into()))?;
    message.version = E::VERSION;
    message.content_type = Some(JSON.to_owned());
    message.payload = Some(Bytes::from(payload));
    Ok(())
}

/// Reads the event in `message`, bringing an older version up to today's.
///
/// # Errors
/// [`DecodeError`], by what is wrong. The message is untouched: keep it raw.
pub fn decode<E: Event>(message: &Message) -> Result<E, DecodeError> {
    let () = const {
        assert!(
            E::UPCASTERS.len() + 1 == E::VERSION as usize,
            "one upcaster per older version"
        );
    };
    if message.kind.as_str() != E::KIND {
        return Err(DecodeError::OtherKind {
            expected: E::KIND,
            found: message.kind.clone(),
        });
    }
    let payload = message
        .payload
        .as_ref()
        .ok_or(DecodeError::Tombstone { kind: E::KIND })?;
    let undecodable = |source: UpcastError| DecodeError::Undecodable {
        kind: E::KIND,
        version: message.version,
        source,
    };
    if message.version == E::VERSION {
        return serde_json::from_slice(payload).map_err(|error| undecodable(error.into()));
    }
    if message.version == 0 || message.version > E::VERSION {
        return Err(DecodeError::UnknownVersion {
            kind: E::KIND,
            found: message.version,
            known: E::VERSION,
        });
    }
    let mut value: Value =
        serde_json::from_slice(payload).map_err(|error| undecodable(error.into()))?;
    for upcast in E::UPCASTERS.iter().skip(message.version as usize - 1) {
        value = upcast(value).map_err(undecodable)?;
    }
    serde_json::from_value(value).map_err(|error| undecodable(error.into()))
}

/// An event that does not serialise.
#[derive(thiserror::Error, Debug)]
#[error("event {kind} cannot be encoded")]
#[non_exhaustive]
pub struct EncodeError {
    kind: &'static str,
    #[source]
    source: UpcastError,
}

/// A message that does not decode into the event asked for.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum DecodeError {
    /// The message holds another kind of event.
    #[error("expected an event {expected}, found {found}")]
    OtherKind {
        /// The kind asked for.
        expected: &'static str,
        /// The kind of the message.
        found: Kind,
    },
    /// The version is none that this build knows: deploy a newer one.
    #[error("event {kind} has version {found}, this build knows 1 to {known}: run a newer build")]
    UnknownVersion {
        /// The event's kind.
        kind: &'static str,
        /// The version of the message.
        found: u32,
        /// Today's version in this build.
        known: u32,
    },
    /// The bytes are not what the version says.
    #[error("event {kind} version {version} does not decode")]
    Undecodable {
        /// The event's kind.
        kind: &'static str,
        /// The version of the message.
        version: u32,
        /// What the codec or an upcaster said.
        #[source]
        source: UpcastError,
    },
    /// The message has no payload.
    #[error("event {kind} is a tombstone: it has no payload")]
    Tombstone {
        /// The event's kind.
        kind: &'static str,
    },
}
