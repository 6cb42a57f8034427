//! Typed events with versions: an old payload always decodes into the current type.

mod error;
mod json;

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Key, Kind, Message, Topic};

pub use error::{DecodeError, EncodeError};
pub use json::Json;

/// Media type of the JSON codec.
pub const JSON: &str = "application/json";

/// An event type: its topic, kind and key, the current version of its schema, and the way up from
/// every older version.
///
/// ```
/// use std::borrow::Cow;
///
/// use mainstay_messaging::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct OrderPlaced { order: String, cents: i64 }
///
/// impl Event for OrderPlaced {
///     const TOPIC: &'static str = "orders";
///     const KIND: &'static str = "OrderPlaced";
///
///     fn key(&self) -> Option<Cow<'_, str>> {
///         Some(Cow::from(&self.order)) // the events of one order stay in order
///     }
/// }
/// ```
///
/// When the payload changes, raise the version and add an [`Upcaster`]:
///
/// ```
/// use mainstay_messaging::{Event, Message, event::{Json, UpcastError, Upcaster, decode}};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// struct Renamed { given_name: String, family_name: String }
///
/// impl Event for Renamed {
///     const TOPIC: &'static str = "customers";
///     const KIND: &'static str = "Renamed";
///     const VERSION: u32 = 2;
///     const UPCASTERS: &'static [Upcaster] = &[split_name]; // v1 → v2
/// }
///
/// fn split_name(mut payload: Json) -> Result<Json, UpcastError> {
///     let name: String = payload.take("name")?;
///     let (given, family) = name.split_once(' ').ok_or("`name` is one word")?;
///     payload.set("given_name", given)?;
///     payload.set("family_name", family)?;
///     Ok(payload) // other members are as they were written
/// }
///
/// let old = Message::builder().topic("customers").kind("Renamed").source("/crm").version(1)
///     .payload(r#"{"name":"Ada Lovelace"}"#).build()?;
/// assert_eq!(decode::<Renamed>(&old)?.family_name, "Lovelace");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// A version without a way up to it does not compile:
///
/// ```compile_fail,E0080
/// # use mainstay_messaging::{Event, Message, event::{DecodeError, decode}};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// struct Renamed { given_name: String, family_name: String }
///
/// impl Event for Renamed {
///     const TOPIC: &'static str = "customers";
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
    /// The topic that events of this type are published to.
    const TOPIC: &'static str;

    /// The event type's name, as in [`Message::kind`].
    const KIND: &'static str;

    /// The current version of the payload, from 1. Raise it when old readers cannot read the new
    /// payload, or the current type cannot read old payloads. An added optional field needs no new
    /// version.
    const VERSION: u32 = 1;

    /// One step per older version, v1→v2 first: exactly `VERSION - 1` of them, checked at compile
    /// time.
    const UPCASTERS: &'static [Upcaster] = &[];

    /// Events of one key are delivered in order; those without a key in any order.
    fn key(&self) -> Option<Cow<'_, str>> {
        None
    }
}

/// Any [`Event`], behind a reference: `&event` coerces to `&dyn AnyEvent`.
pub trait AnyEvent: Send + Sync + sealed::Sealed {
    /// Writes topic, key, kind, version, content type and payload into `message`.
    ///
    /// # Errors
    /// [`EncodeError`] if the event does not serialise, or its topic, key or kind is no valid name. The
    /// message is unchanged.
    fn write_to(&self, message: &mut Message) -> Result<(), EncodeError>;
}

mod sealed {
    pub trait Sealed {}
}

impl<E: Event> sealed::Sealed for E {}

impl<E: Event> AnyEvent for E {
    fn write_to(&self, message: &mut Message) -> Result<(), EncodeError> {
        let failed = |error: crate::InvalidName| EncodeError::new(E::KIND, error.into());
        let topic = Topic::new(E::TOPIC).map_err(failed)?;
        let key = self.key().map(|key| Key::new(&*key)).transpose();
        let key = key.map_err(failed)?;
        encode(self, message)?;
        message.topic = topic;
        message.key = key;
        Ok(())
    }
}

/// Turns a payload of one version into the next version's. Numbers that it does not touch keep all
/// their digits.
pub type Upcaster = fn(Json) -> Result<Json, UpcastError>;

/// Why a payload could not be brought to the next version.
pub type UpcastError = Box<dyn std::error::Error + Send + Sync>;

/// Writes kind, version, content type and payload of `event` into `message`; topic and key stay.
///
/// # Errors
/// [`EncodeError`] when the event does not serialise, such as a map whose keys are not strings. The
/// message is unchanged.
pub fn encode<E: Event>(event: &E, message: &mut Message) -> Result<(), EncodeError> {
    let payload = to_payload(event)?;
    let invalid = |error: crate::InvalidName| EncodeError::new(E::KIND, error.into());
    message.kind = Kind::new(E::KIND).map_err(invalid)?;
    message.version = E::VERSION;
    message.content_type = Some(JSON.to_owned());
    message.payload = Some(Bytes::from(payload));
    Ok(())
}

/// The payload of `event` alone, JSON of its current version: for what is stored without a message.
///
/// # Errors
/// [`EncodeError`] when the event does not serialise.
pub fn to_payload<E: Event>(event: &E) -> Result<String, EncodeError> {
    let () = const { check_upcasters::<E>() };
    serde_json::to_string(event).map_err(|error| EncodeError::new(E::KIND, error.into()))
}

/// Reads the event in `message`; upcasts an older version to the current one.
///
/// # Errors
/// [`DecodeError`] says what is wrong. The message itself is intact: keep it.
pub fn decode<E: Event>(message: &Message) -> Result<E, DecodeError> {
    if message.kind.as_str() != E::KIND {
        return Err(DecodeError::OtherKind {
            expected: E::KIND,
            found: message.kind.clone(),
        });
    }
    let payload = message.payload.as_ref();
    let payload = payload.ok_or(DecodeError::Tombstone { kind: E::KIND })?;
    from_payload(message.version, payload)
}

/// Reads the event in a payload of this version; upcasts an older version to the current one.
///
/// # Errors
/// [`DecodeError`] says what is wrong.
pub fn from_payload<E: Event>(version: u32, payload: &[u8]) -> Result<E, DecodeError> {
    let () = const { check_upcasters::<E>() };
    let undecodable = |source: UpcastError| DecodeError::Undecodable {
        kind: E::KIND,
        version,
        source,
    };
    if version == E::VERSION {
        return serde_json::from_slice(payload).map_err(|error| undecodable(error.into()));
    }
    if version == 0 || version > E::VERSION {
        return Err(DecodeError::UnknownVersion {
            kind: E::KIND,
            found: version,
            known: E::VERSION,
        });
    }
    let mut json: Json =
        serde_json::from_slice(payload).map_err(|error| undecodable(error.into()))?;
    for upcast in E::UPCASTERS.iter().skip(version as usize - 1) {
        json = upcast(json).map_err(undecodable)?;
    }
    json.parse().map_err(undecodable)
}

/// Each version but the newest has its way up. Evaluated at compile time.
const fn check_upcasters<E: Event>() {
    assert!(
        E::UPCASTERS.len() + 1 == E::VERSION as usize,
        "one upcaster per older version"
    );
}
