//! The common parts of events and commands.

use std::fmt;

use mainstay_messaging::event::Event;
use serde::{Deserialize, Serialize};

/// An event or command that is about one order.
pub trait Contract: Event {
    /// The order, which is also the message's key.
    fn order_id(&self) -> &OrderId;
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// Identity of an order.
    OrderId
}
text_id! {
    /// Identity of something that is sold and kept in stock.
    Sku
}

/// Implements `Event` (version 1) and `Contract` for a struct with a field `order_id`.
macro_rules! contract {
    ($name:ident on $topic:literal) => {
        impl mainstay_messaging::event::Event for $name {
            const TOPIC: &'static str = $topic;
            const KIND: &'static str = stringify!($name);
            fn key(&self) -> Option<std::borrow::Cow<'_, str>> {
                Some(self.order_id.as_str().into())
            }
        }
        impl crate::Contract for $name {
            fn order_id(&self) -> &crate::OrderId {
                &self.order_id
            }
        }
    };
}
pub(crate) use contract;
