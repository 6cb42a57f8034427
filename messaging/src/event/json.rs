//! JSON as it was written.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor},
};
use serde_json::value::{RawValue, to_raw_value};

use super::UpcastError;

/// A payload on its way to the next version, or a part of it.
///
/// What an [`Upcaster`](super::Upcaster) does not touch stays as it was written, digit by digit.
/// [`serde_json::Value`] would round numbers of more than 64 bits.
///
/// ```
/// use mainstay_messaging::event::Json;
///
/// let mut json: Json = serde_json::from_str(r#"{"units":25000000000000000001,"at":{"zip":"1010"}}"#)?;
/// let mut at: Json = json.take("at")?;
/// at.set("country", "AT")?;
/// json.set("address", &at)?;
/// assert_eq!(json.get::<u128>("units")?, 25_000_000_000_000_000_001);
/// assert_eq!(json.get::<Option<String>>("note")?, None);
/// assert_eq!(
///     serde_json::to_string(&json)?,
///     r#"{"units":25000000000000000001,"address":{"zip":"1010","country":"AT"}}"#,
/// );
/// # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
/// ```
///
/// It serialises and deserialises with `serde_json` only.
#[derive(Clone, Debug)]
pub struct Json(Shape);

#[derive(Clone, Debug)]
enum Shape {
    /// Members in their order.
    Object(Vec<(String, Box<RawValue>)>),
    Other(Box<RawValue>),
}

impl Json {
    /// The JSON of a value.
    ///
    /// # Errors
    /// When the value does not serialise.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Result<Self, UpcastError> {
        Ok(Self::read(to_raw_value(value)?)?)
    }

    /// The whole as another type.
    ///
    /// # Errors
    /// When it is no `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, UpcastError> {
        Ok(match &self.0 {
            Shape::Other(raw) => serde_json::from_str(raw.get())?,
            Shape::Object(_) => serde_json::from_str(&serde_json::to_string(self)?)?,
        })
    }

    /// A member of an object. A missing member is read as `null`, so that an `Option` is none.
    ///
    /// # Errors
    /// The text names the member, if it is missing or no `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T, UpcastError> {
        parse(name, self.member(name))
    }

    /// As [`get`](Self::get), and removes the member.
    ///
    /// # Errors
    /// As [`get`](Self::get); the member stays.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, UpcastError> {
        let value = self.get(name)?;
        if let Shape::Object(members) = &mut self.0 {
            members.retain(|(other, _)| other != name);
        }
        Ok(value)
    }

    /// Sets a member of an object, in the place of one that is there.
    ///
    /// # Errors
    /// When this is no object, or the value does not serialise.
    pub fn set(
        &mut self,
        name: &str,
        value: &(impl Serialize + ?Sized),
    ) -> Result<(), UpcastError> {
        let Shape::Object(members) = &mut self.0 else {
            return Err(format!("`{name}` cannot be set: the payload is no object").into());
        };
        let value = to_raw_value(value).map_err(|error| format!("`{name}`: {error}"))?;
        match members.iter_mut().rev().find(|(other, _)| other == name) {
            Some((_, there)) => *there = value,
            None => members.push((name.to_owned(), value)),
        }
        Ok(())
    }

    /// The last one counts, if an object has a name twice.
    fn member(&self, name: &str) -> Option<&RawValue> {
        let Shape::Object(members) = &self.0 else {
            return None;
        };
        let mut members = members.iter().rev();
        members
            .find(|(other, _)| other == name)
            .map(|(_, value)| &**value)
    }

    fn read(raw: Box<RawValue>) -> Result<Self, serde_json::Error> {
        Ok(Self(if raw.get().starts_with('{') {
            serde_json::from_str(raw.get()).map(|Members(members)| Shape::Object(members))?
        } else {
            Shape::Other(raw)
        }))
    }
}

fn parse<T: DeserializeOwned>(name: &str, member: Option<&RawValue>) -> Result<T, UpcastError> {
    match member {
        Some(value) => {
            serde_json::from_str(value.get()).map_err(|error| format!("`{name}`: {error}").into())
        }
        None => serde_json::from_str("null").map_err(|_| format!("no `{name}`").into()),
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Shape::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
            Shape::Other(raw) => raw.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::read(raw).map_err(D::Error::custom)
    }
}

struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}
