//! What tells one message from another: (source, id), never a hash in their place.

use std::borrow::Cow;

use mainstay_messaging::{Content, Delivery};

/// Source and id of a delivery. A record that is no message is its position, under the empty source, which no
/// message can have.
pub(crate) fn identity(delivery: &Delivery) -> (&str, Cow<'_, str>) {
    match &delivery.content {
        Content::Message(message) => (message.source.as_str(), message.id.as_str().into()),
        Content::Raw(_) => ("", delivery.position.to_string().into()),
    }
}
