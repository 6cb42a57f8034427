//! What can go wrong, by what the caller can do about it.

use std::sync::Arc;

use crate::{Position, Topic};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// An operation of a broker or a codec failed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The broker cannot be reached or did not answer; heals by itself.
    #[error("the broker is not available")]
    Unavailable(#[source] Source),
    /// The topic does not exist; create it first.
    #[error("unknown topic {0}")]
    UnknownTopic(Topic),
    /// The message is larger than the broker takes.
    #[error("message of {size} bytes is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Size of the message in bytes.
        size: usize,
        /// The broker's limit in bytes.
        limit: usize,
    },
    /// The partition is not (any more) this member's: its new holder decides.
    #[error("position {0} is not assigned to this member")]
    NotAssigned(Position),
    /// The group's offset points outside the log: records were removed before they were read, or the log was replaced.
    #[error(
        "committed offset of {committed} lies outside the log {first}..{next}; decide where the group shall go on"
    )]
    OffsetOutOfRange {
        /// The offset the group had committed.
        committed: Position,
        /// The oldest offset still kept.
        first: i64,
        /// The offset that the next record will get.
        next: i64,
    },
    /// A message of the same (topic, key) before this one was not acknowledged, so this one was not tried.
    #[error("not tried: an earlier message of the same key was not acknowledged")]
    NotTried,
    /// The broker refused for good, for a reason of its own.
    #[error("the broker refused the operation")]
    Refused(#[source] Source),
}

impl Error {
    /// Whether the same call may succeed later without anybody's doing.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::NotTried)
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
