//! The stored text as a type.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor},
};

use super::unknown::{Members, Unknown};

/// The attributes that this build knows. An absent one is not written.
#[derive(Serialize, Default)]
pub(super) struct Envelope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) headers: Option<Vec<Header<'a>>>,
    /// Microseconds since 1970. 128 bits hold every time of the platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) occurred_at: Option<i128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) correlation_id: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) causation_id: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) traceparent: Option<Text<'a>>,
}

/// Borrowed from the stored text unless it has escapes.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Header<'a> {
    Text(Cow<'a, str>, Cow<'a, str>),
    /// The third element tells a value in hexadecimal from a text.
    Hex(Cow<'a, str>, Cow<'a, str>, Hexadecimal),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Hexadecimal {
    Hex,
}

/// The stored text, read in one pass. Serde's `flatten` would turn unknown numbers into floats.
pub(super) struct Stored<'a> {
    pub(super) known: Envelope<'a>,
    pub(super) unknown: Unknown,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    Id,
    Source,
    Kind,
    Version,
    Format,
    Subject,
    ContentType,
    Headers,
    OccurredAt,
    CorrelationId,
    CausationId,
    Traceparent,
    Unknown(String),
}

impl<'de> Deserialize<'de> for Stored<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Stored<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Stored<'de>, A::Error> {
        let (mut known, mut unknown) = (Envelope::default(), Members::default());
        while let Some(name) = map.next_key()? {
            match name {
                Name::Id => fill(&mut known.id, "id", &mut map)?,
                Name::Source => fill(&mut known.source, "source", &mut map)?,
                Name::Kind => fill(&mut known.kind, "kind", &mut map)?,
                Name::Version => fill(&mut known.version, "version", &mut map)?,
                Name::Format => fill(&mut known.format, "format", &mut map)?,
                Name::Subject => fill(&mut known.subject, "subject", &mut map)?,
                Name::ContentType => fill(&mut known.content_type, "content_type", &mut map)?,
                Name::Headers => fill(&mut known.headers, "headers", &mut map)?,
                Name::OccurredAt => fill(&mut known.occurred_at, "occurred_at", &mut map)?,
                Name::CorrelationId => fill(&mut known.correlation_id, "correlation_id", &mut map)?,
                Name::CausationId => fill(&mut known.causation_id, "causation_id", &mut map)?,
                Name::Traceparent => fill(&mut known.traceparent, "traceparent", &mut map)?,
                Name::Unknown(name) => unknown.add(name, map.next_value()?),
            }
        }
        Ok(Stored {
            known,
            unknown: unknown.into(),
        })
    }
}

fn fill<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    slot: &mut Option<T>,
    name: &'static str,
    map: &mut A,
) -> Result<(), A::Error> {
    if slot.is_some() {
        return Err(Error::duplicate_field(name));
    }
    *slot = map.next_value()?;
    Ok(())
}
