//! The newtypes of a message: ids, names and keys that cannot be mixed up.

use std::{fmt, sync::Arc};

use crate::InvalidName;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        ///
        /// Not empty, at most 255 bytes, no control characters. Cloning is a reference count.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and wraps `text`.
            ///
            /// # Errors
            /// [`InvalidName`] when `text` is empty, longer than 255 bytes or holds a control character.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self, InvalidName> {
                InvalidName::check($what, text.into()).map(Self)
            }

            /// Wraps a literal.
            ///
            /// # Panics
            /// When the literal breaks the rules of [`new`](Self::new): a mistake in the program text.
            #[must_use]
            pub fn from_static(text: &'static str) -> Self {
                match Self::new(text) {
                    Ok(name) => name,
                    Err(error) => panic!("{error}"),
                }
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

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name! {
    /// Identity of a message, unique together with its [`Source`]; minted as a `UUIDv7`.
    MessageId, "message id"
}
name! {
    /// Who made the message: a service, as a URI reference (`CloudEvents` `source`).
    Source, "source"
}
name! {
    /// The stream a message belongs to.
    Topic, "topic"
}
name! {
    /// What orders messages: those of one (topic, key) are delivered in the order they were published.
    Key, "key"
}
name! {
    /// The event type, such as `OrderPlaced` (`CloudEvents` `type`).
    Kind, "kind"
}
name! {
    /// A consumer group of the broker: one consumer name, one group, one set of handlers.
    Group, "group"
}

impl MessageId {
    /// For text that keeps every rule by its making, such as a UUID: no check, one allocation.
    pub(crate) fn from_safe_text(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<&Topic> for Source {
    /// A topic keeps the rules of a source. Who made a record that does not say it is known by the topic only.
    fn from(topic: &Topic) -> Self {
        Self(Arc::clone(&topic.0))
    }
}
