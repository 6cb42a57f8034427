//! What can go wrong, by what the caller can do about it.

use std::{convert::Infallible, fmt, sync::Arc};

use crate::{Group, Position, Topic, event::EncodeError};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// An operation of a broker, or on a message, failed.
///
/// The text includes the cause; [`source`](std::error::Error::source) continues below it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The broker cannot be reached or did not answer. It heals by itself.
    Unavailable(Source),
    /// The topic does not exist. Create it first.
    UnknownTopic(Topic),
    /// The message is larger than the broker accepts.
    TooLarge {
        /// Size of the message in bytes.
        size: usize,
        /// The broker's limit in bytes.
        limit: usize,
    },
    /// This member does not hold the partition, or does not hold it any more.
    NotAssigned(Position),
    /// The group's committed offset lies outside the log: records were removed before they were
    /// read, or the log was replaced.
    OffsetOutOfRange {
        /// The group.
        group: Group,
        /// The offset that the group had committed.
        committed: Position,
        /// The oldest offset still kept.
        first: i64,
        /// The offset that the next record will get.
        next: i64,
    },
    /// The message was not tried, because an earlier one of the same (topic, key) was not
    /// acknowledged, or the broker takes no more in one call.
    NotTried,
    /// The broker refused the operation, for a reason of its own. Trying again does not help.
    Refused(Source),
    /// A name breaks its rules.
    InvalidName(InvalidName),
    /// A number lies outside its limits.
    OutOfLimits {
        /// What the number counts, or the setting.
        what: &'static str,
        /// The number.
        given: u64,
        /// What it must be, such as `1 or more`.
        limit: &'static str,
    },
    /// A message was built without a part that every message has.
    Incomplete {
        /// The part, such as `topic`.
        missing: &'static str,
    },
    /// The payload of a message does not serialise.
    Encode(EncodeError),
}

impl Error {
    /// Whether the same call may succeed later without anyone's help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::NotTried)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(source) => write!(f, "the broker is not available: {source}"),
            Self::UnknownTopic(topic) => {
                write!(f, "topic {topic:?} does not exist: create it first")
            }
            Self::TooLarge { size, limit } => write!(
                f,
                "the message has {size} bytes, the broker accepts {limit}: make it smaller or raise the limit"
            ),
            Self::NotAssigned(position) => write!(
                f,
                "{} is not assigned to this member, offset {} was not stored",
                position.partition, position.offset
            ),
            Self::OffsetOutOfRange {
                group,
                committed,
                first,
                next,
            } => write!(
                f,
                "consumer group {group:?}: offset {} of {} is not in the log, which has {first} to {next}; reset the \
                 group's offset to continue",
                committed.offset, committed.partition
            ),
            Self::NotTried => f.write_str(
                "the message was not tried, because an earlier one of its key was not acknowledged \
                 or the call was full: publish it again",
            ),
            Self::Refused(source) => write!(f, "the broker refused the operation: {source}"),
            Self::InvalidName(error) => error.fmt(f),
            Self::OutOfLimits { what, given, limit } => {
                write!(f, "{what} is {given}: it must be {limit}")
            }
            Self::Incomplete { missing } => write!(f, "the message has no {missing}: set it"),
            Self::Encode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unavailable(shown) | Self::Refused(shown) => shown.source(),
            Self::Encode(shown) => std::error::Error::source(shown),
            _ => None,
        }
    }
}

impl From<InvalidName> for Error {
    fn from(error: InvalidName) -> Self {
        Self::InvalidName(error)
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

/// A text that cannot be used as a name.
#[derive(Clone, PartialEq, Eq, thiserror::Error, Debug)]
#[error("invalid {what} {text:?}: {reason}")]
#[non_exhaustive]
pub struct InvalidName {
    /// Which kind of name.
    pub what: &'static str,
    /// The text that was given, cut to 64 characters.
    pub text: String,
    /// Which rule it breaks.
    pub reason: &'static str,
}

/// A name that is one already needs no check.
impl From<Infallible> for InvalidName {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl InvalidName {
    pub(crate) fn check(what: &'static str, text: Arc<str>) -> Result<Arc<str>, Self> {
        let reason = if text.is_empty() {
            "it is empty"
        } else if text.len() > 255 {
            "it is longer than 255 bytes"
        } else if text.chars().any(char::is_control) {
            "it holds a control character"
        } else {
            return Ok(text);
        };
        Err(Self {
            what,
            text: text.chars().take(64).collect(),
            reason,
        })
    }
}
