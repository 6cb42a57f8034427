//! The newtypes of a message. Where one is expected, setters take a literal, a `String` or the
//! newtype.

use std::{fmt, str::FromStr, sync::Arc};

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
            /// [`InvalidName`] when `text` is empty, longer than 255 bytes or holds a control
            /// character.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self, InvalidName> {
                InvalidName::check($what, text.into()).map(Self)
            }

            /// Wraps a literal.
            ///
            /// # Panics
            /// When the literal breaks the rules of [`new`](Self::new): a mistake in the program
            /// text.
            #[must_use]
            pub fn from_static(text: &'static str) -> Self {
                match Self::new(text) {
                    Ok(name) => name,
                    Err(error) => panic!("{error}"),
                }
            }

            /// A placeholder: no valid name is empty.
            #[allow(dead_code, reason = "not every name has a placeholder")]
            pub(crate) fn unset() -> Self {
                Self(Arc::default())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidName;
            fn try_from(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<&Self> for $name {
            fn from(name: &Self) -> Self {
                name.clone()
            }
        }

        impl From<$name> for Arc<str> {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
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
    /// Orders messages: those of one (topic, key) are delivered in the order they were published.
    Key, "key"
}
name! {
    /// The event type, such as `OrderPlaced` (`CloudEvents` `type`).
    Kind, "kind"
}
name! {
    /// A consumer group: its members divide the partitions of its topics, and the broker stores its
    /// offsets.
    Group, "group"
}

impl MessageId {
    /// For text that keeps every rule by construction, such as a UUID.
    pub(crate) fn from_safe_text(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<&Topic> for Source {
    /// For a record that does not name its source. A topic keeps the rules of a source.
    fn from(topic: &Topic) -> Self {
        Self(Arc::clone(&topic.0))
    }
}
