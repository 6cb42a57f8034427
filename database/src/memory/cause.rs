//! The server's answers.

/// The source of every [`Error`](crate::Error) of this database, with the SQLSTATE PostgreSQL gives
/// it.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// 40001.
    #[error("could not serialize access due to concurrent update")]
    SerializationFailure,
    /// 40P01.
    #[error("deadlock detected")]
    Deadlock,
    /// 55P03: the transaction's lock timeout passed.
    #[error("canceling statement due to lock timeout")]
    LockTimeout,
    /// 55P03: the row is locked and the statement said [`NoWait`](super::Wait::NoWait).
    #[error("could not obtain lock on row")]
    LockNotAvailable,
    /// 3B001: no savepoint is set.
    #[error("the savepoint does not exist")]
    NoSavepoint,
    /// No SQLSTATE: the connection broke, or none could be had.
    #[error("the connection to the server was lost")]
    ConnectionLost,
    /// A change gave a record another key, which PostgreSQL allows and these tables do not.
    #[error("a change must not touch the key of a record of table {0}")]
    KeyChanged(&'static str),
    /// The table holds records of another type.
    #[error("table {0} holds records of another type")]
    AnotherType(&'static str),
    /// The transaction was begun on another database.
    #[error("the transaction belongs to another database")]
    AnotherDatabase,
}
