//! Attributes that a newer build wrote and this one does not know.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Kept and written again, so that an older relay in the middle strips nothing from a message.
/// Nearly every message has none, which costs nothing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Unknown(Option<Arc<Map<String, Value>>>);

impl Unknown {
    pub(crate) const NONE: Self = Self(None);

    /// Bytes as JSON, give or take punctuation.
    pub(crate) fn size(&self) -> usize {
        let attributes = self.0.iter().flat_map(|attributes| attributes.iter());
        attributes
            .map(|(name, value)| name.len() + value.to_string().len())
            .sum()
    }
}

impl Serialize for Unknown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            None => serializer.serialize_none(),
            Some(attributes) => attributes.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Unknown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let attributes = Map::deserialize(deserializer)?;
        Ok(Self((!attributes.is_empty()).then(|| Arc::new(attributes))))
    }
}
