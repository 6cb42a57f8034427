//! What the stores in SQL databases have in common: statements, and what they do with rows.
//!
//! SQLite and PostgreSQL run the same statements; a [`Dialect`] has what differs. The drivers' types
//! differ, so the implementations of the roles are macros, which `sqlite` and `postgres` expand.

mod desk;
mod jobs;
mod keep;
mod look;
mod replay;
mod rows;
mod statements;

pub(crate) use desk::implement_desk;
pub(crate) use jobs::implement_jobs;
pub(crate) use keep::implement_keep;
pub(crate) use look::{Kept, Look, check_isolation};
pub(crate) use replay::implement_replay;
pub(crate) use rows::{delivered, held_bodies, held_rows, job_of, letter_of, names};
pub(crate) use statements::{Dialect, PROBES, Statements};

/// Implements the three roles for a store with the fields `database`, `sql` and `kept`, and the methods
/// `reader` and `persists`.
macro_rules! implement_roles {
    ($store:ident, $driver:ty, $connection:ty, $classify:path) => {
        $crate::sql::implement_keep!($store, $driver, $connection, $classify);
        $crate::sql::implement_replay!($store, $driver, $connection, $classify);
        $crate::sql::implement_jobs!($store, $driver, $connection, $classify);
        $crate::sql::implement_desk!($store, $driver, $connection, $classify);
    };
}
pub(crate) use implement_roles;
