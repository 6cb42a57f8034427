//! What tells one message from another.

use std::borrow::Cow;

use mainstay_messaging::{Content, Delivery};

/// Source and id of a delivery: what a store's unique key holds beside the consumer, never a hash in their place.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Identity<'a> {
    /// Who made the message. Empty, which no message's source is, for a record that is no message.
    pub source: &'a str,
    /// Its id there; of a record that is no message, its position.
    pub id: Cow<'a, str>,
}

impl<'a> Identity<'a> {
    /// The identity of `delivery`.
    #[must_use]
    pub fn of(delivery: &'a Delivery) -> Self {
        match &delivery.content {
            Content::Message(message) => Self {
                source: message.source.as_str(),
                id: message.id.as_str().into(),
            },
            Content::Raw(_) => Self {
                source: "",
                id: delivery.position.to_string().into(),
            },
        }
    }
}
