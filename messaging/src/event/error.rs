//! What can go wrong between an event and a message.

use std::fmt;

use super::UpcastError;
use crate::Kind;

/// An event cannot be written into a message. The text includes the cause.
#[derive(Debug)]
pub struct EncodeError {
    kind: &'static str,
    cause: UpcastError,
}

impl EncodeError {
    pub(crate) const fn new(kind: &'static str, cause: UpcastError) -> Self {
        Self { kind, cause }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be encoded: {}", self.kind, self.cause)
    }
}

impl std::error::Error for EncodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}

/// A message does not decode into the event asked for. The text includes the cause.
#[derive(Debug)]
#[non_exhaustive]
pub enum DecodeError {
    /// The message holds another kind of event.
    OtherKind {
        /// The kind asked for.
        expected: &'static str,
        /// The kind of the message.
        found: Kind,
    },
    /// This build does not know the version. Deploy a newer build.
    UnknownVersion {
        /// The event's kind.
        kind: &'static str,
        /// The version of the message.
        found: u32,
        /// The current version in this build.
        known: u32,
    },
    /// The payload is not what its version says.
    Undecodable {
        /// The event's kind.
        kind: &'static str,
        /// The version of the message.
        version: u32,
        /// What the codec or an upcaster said.
        source: UpcastError,
    },
    /// The message has no payload.
    Tombstone {
        /// The event's kind.
        kind: &'static str,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherKind { expected, found } => {
                write!(f, "expected an event {expected}, found {found}")
            }
            Self::UnknownVersion { kind, found, known } => write!(
                f,
                "{kind} has version {found}, this build knows 1 to {known}: run a newer build"
            ),
            Self::Undecodable {
                kind,
                version,
                source,
            } => write!(f, "{kind} version {version} does not decode: {source}"),
            Self::Tombstone { kind } => {
                write!(f, "{kind} is a tombstone: the message has no payload")
            }
        }
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Undecodable { source, .. } => source.source(),
            Self::OtherKind { .. } | Self::UnknownVersion { .. } | Self::Tombstone { .. } => None,
        }
    }
}
