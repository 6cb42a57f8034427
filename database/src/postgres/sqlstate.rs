//! What a caller can do about the server's error codes.

use sqlx::{
    error::DatabaseError,
    postgres::{PgDatabaseError, PgSeverity},
};

use super::stale::is_stale;
use crate::{Error, ErrorKind};

/// Sorts a driver error by what the caller can do about it.
///
/// A prepared statement that the server no longer runs, because a migration changed the type of a
/// column (0A000) or a session forgot it (26000), is an [`Error::Conflict`]: the next transactions
/// of every [`Database`](super::Database) of the process prepare theirs anew.
#[must_use]
pub fn classify(error: sqlx::Error) -> Error {
    match kind_of(&error) {
        ErrorKind::Unavailable => Error::Unavailable(error.into()),
        ErrorKind::Conflict => Error::Conflict(error.into()),
        ErrorKind::Aborted => Error::Aborted,
        ErrorKind::OutcomeUnknown | ErrorKind::Final => Error::Failed(error.into()),
    }
}

/// As [`classify`], for a borrowed error.
pub(crate) fn kind_of(error: &sqlx::Error) -> ErrorKind {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        // From a server that shuts down, or a proxy in its place.
        | sqlx::Error::Protocol(_)
        | sqlx::Error::BeginFailed => ErrorKind::Unavailable,
        sqlx::Error::Database(answer) if is_stale(&**answer) => ErrorKind::Conflict,
        sqlx::Error::Database(answer) => meaning(&code(&**answer)),
        _ => ErrorKind::Final,
    }
}

/// Whether the server or the network has ended a connection that was idle. A login that is refused is
/// something else.
pub(super) fn has_ended(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // admin_shutdown, crash_shutdown, idle_session_timeout
        sqlx::Error::Database(answer) => {
            matches!(answer.code().as_deref(), Some("57P01" | "57P02" | "57P05"))
        }
        _ => false,
    }
}

/// As [`classify`], for COMMIT: without an answer, the outcome is unknown.
pub(super) fn of_commit(error: sqlx::Error) -> Error {
    let refused = matches!(&error, sqlx::Error::Database(answer) if is_refusal(&**answer));
    match classify(error) {
        Error::Unavailable(source) if !refused => Error::OutcomeUnknown(source),
        error => error,
    }
}

/// Whether the server lives on and has rolled back. One that ends the connection may have committed
/// before.
fn is_refusal(answer: &dyn DatabaseError) -> bool {
    let unknown = matches!(answer.code().as_deref(), Some("40003" | "08007"));
    answer
        .try_downcast_ref::<PgDatabaseError>()
        .is_some_and(|answer| answer.severity() == PgSeverity::Error && !unknown)
}

/// The code of an answer.
///
/// When a client logs in after a change of the catalogues, the server writes a file. Before version
/// 16 it reports a full disk there as an internal error, always with this text.
fn code(answer: &dyn DatabaseError) -> String {
    let code = answer.code().unwrap_or_default().into_owned();
    if code == INTERNAL && answer.message().starts_with("could not write init file") {
        return DISK_FULL.to_owned();
    }
    code
}

const INTERNAL: &str = "XX000";
const DISK_FULL: &str = "53100";

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn meaning(code: &str) -> ErrorKind {
    match code {
        // serialization_failure, deadlock_detected, lock_not_available
        "40001" | "40P01" | "55P03" => ErrorKind::Conflict,
        "25P02" => ErrorKind::Aborted,
        // statement_completion_unknown, transaction_resolution_unknown: the connection is as good
        // as gone.
        "40003" | "08007"
        // idle_in_transaction_session_timeout, idle_session_timeout, transaction_timeout: it is
        // gone.
        | "25P03" | "57P05" | "25P04"
        // A standby that has not been promoted yet, or a server that was made read-only for a
        // switch-over.
        | "25006"
        // query_canceled: a statement_timeout, or an operator.
        | "57014"
        // admin_shutdown, crash_shutdown, cannot_connect_now; database_dropped (57P04) does not
        // heal.
        | "57P01" | "57P02" | "57P03" => ErrorKind::Unavailable,
        // Connections, and resources: too many connections, out of memory, disk full.
        _ if code.starts_with("08") || code.starts_with("53") => ErrorKind::Unavailable,
        // io_error and other trouble of the server's machine.
        _ if code.starts_with("58") => ErrorKind::Unavailable,
        _ => ErrorKind::Final,
    }
}

/// What a person can do about a driver's error, where the server's own words leave that open.
pub(crate) fn advice(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let answer = error.downcast_ref::<sqlx::Error>()?.as_database_error()?;
    // The codes of other databases mean something else.
    answer.try_downcast_ref::<PgDatabaseError>()?;
    Some(match &*code(answer) {
        "28P01" | "28000" => {
            "the server does not let this user in: check the user, the password and the server's pg_hba.conf"
        }
        "3D000" => "there is no such database: create it, or correct the URL",
        "42501" => "this role lacks a privilege: have the owner grant it",
        DISK_FULL => "the server's disk is full: make room there, and work goes on by itself",
        "53200" => "the server is out of memory: once it has some, work goes on by itself",
        "53300" => {
            "the server takes no more connections: raise its max_connections or the limit of this role or database, \
             use smaller pools, or put a pooler in between; work goes on by itself"
        }
        "26000" => {
            "if a pooler in transaction mode stands in between, set transaction_pooler(true), or give the pool a \
             statement cache of capacity 0"
        }
        "25006" => {
            "the server is read-only, as a standby is: promote it, or connect to its primary"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_what_the_caller_can_do() {
        for (code, expected) in [
            ("40001", ErrorKind::Conflict),
            ("40P01", ErrorKind::Conflict),
            ("55P03", ErrorKind::Conflict),
            ("25P02", ErrorKind::Aborted),
            ("25P03", ErrorKind::Unavailable),
            ("53300", ErrorKind::Unavailable),
            ("53100", ErrorKind::Unavailable),
            ("57P01", ErrorKind::Unavailable),
            ("57P03", ErrorKind::Unavailable),
            ("08006", ErrorKind::Unavailable),
            ("57P04", ErrorKind::Final),
            ("28P01", ErrorKind::Final),
            ("3D000", ErrorKind::Final),
            ("42501", ErrorKind::Final),
            ("23505", ErrorKind::Final),
        ] {
            assert_eq!(meaning(code), expected, "{code}");
        }
    }

    #[test]
    fn a_commit_without_an_answer_is_unknown_and_one_that_was_refused_is_not() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let error = of_commit(sqlx::Error::Io(broken));
        assert!(matches!(error, Error::OutcomeUnknown(_)), "{error:?}");
        let error = of_commit(sqlx::Error::RowNotFound);
        assert!(matches!(error, Error::Failed(_)), "{error:?}");
    }
}
