//! What a caller can do about the errors of the client and of the server.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::Error;

/// Codes of a server that takes no writes for now: its memory or disk is full, its replicas are
/// away, a script blocks it.
const FOR_NOW: [&str; 4] = ["OOM", "MISCONF", "NOREPLICAS", "BUSY"];

/// Sorts an error by what the caller can do about it.
pub(super) fn classify(error: RedisError) -> Error {
    let heals = match error.kind() {
        ErrorKind::Io
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::MasterNameNotFoundBySentinel
        | ErrorKind::NoValidReplicasFoundBySentinel
        | ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask
            // A primary that has just become a replica.
            | ServerErrorKind::ReadOnly,
        ) => true,
        _ => error.code().is_some_and(|code| FOR_NOW.contains(&code)),
    };
    if heals {
        Error::Unavailable(error.into())
    } else {
        Error::Refused(error.into())
    }
}
