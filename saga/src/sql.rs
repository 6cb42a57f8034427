//! What the stores in SQL databases have in common: statements, and what they do with rows.
//!
//! SQLite and PostgreSQL run the same statements, except for saving; a [`Dialect`] has what differs.
//! The drivers' types differ, so the implementations of the roles are macros, which `sqlite` and
//! `postgres` expand.

mod desk;
mod participant;
mod rows;
mod runs;
mod statements;

pub(crate) use desk::implement_desk;
pub(crate) use participant::implement_participant;
pub(crate) use rows::{
    begun, begun_of, journal_of, listed_of, live_of, stored_of, summary_of, unbegun,
};
pub(crate) use runs::implement_runs;
pub(crate) use statements::{Dialect, PROBES, Statements};

/// Implements the three roles for a store with the fields `database` and `sql`, and the methods
/// `reader`, `persists`, `texts` and `save_runs`.
macro_rules! implement_roles {
    ($store:ident, $driver:ty, $connection:ty, $classify:path) => {
        $crate::sql::implement_runs!($store, $driver, $connection, $classify);
        $crate::sql::implement_desk!($store, $driver, $classify);
        $crate::sql::implement_participant!($store, $driver, $connection, $classify);
    };
}
pub(crate) use implement_roles;
