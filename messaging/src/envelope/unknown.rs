//! Attributes that a newer build wrote and this one does not know.

use std::sync::Arc;

use serde_json::{Value, value::RawValue};

/// Kept as text and written again, so that an older relay in the middle strips nothing from a
/// message and rounds no number. Nearly every message has none, which costs nothing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Unknown(Option<Arc<str>>);

impl Unknown {
    pub(crate) const NONE: Self = Self(None);

    /// Bytes as JSON.
    pub(crate) fn size(&self) -> usize {
        self.0.as_ref().map_or(0, |members| members.len())
    }

    /// Adds the members to those of the JSON object that `json` ends with.
    pub(super) fn write_into(&self, json: &mut String) {
        if let Some(members) = &self.0
            && json.ends_with('}')
        {
            json.pop();
            json.push(',');
            json.push_str(members);
            json.push('}');
        }
    }
}

/// Collects the members of a JSON object.
#[derive(Default)]
pub(super) struct Members(String);

impl Members {
    pub(super) fn add(&mut self, name: String, value: &RawValue) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&Value::String(name).to_string());
        self.0.push(':');
        self.0.push_str(value.get());
    }
}

impl From<Members> for Unknown {
    fn from(Members(members): Members) -> Self {
        Self((!members.is_empty()).then(|| members.into()))
    }
}
