//! What tells one message from another.

use std::borrow::Cow;

use mainstay_messaging::{Delivery, broker::Content};

/// Source and id of a delivery. A store's unique key holds them and the consumer, never a hash of
/// them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Identity<'a> {
    /// Who made the message. Empty for a record that is not a message; no message has an empty
    /// source.
    pub source: &'a str,
    /// The message's id within its source, or the position of a record that is not a message.
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
