//! What the author of a store implements.
//!
//! | role | traits |
//! |---|---|
//! | answers in the caller's transaction | [`Records`], [`RecordStore`], [`Sweep`] |
//! | keys in a store of their own | [`Leases`] |
//!
//! Run the conformance suite (feature `conformance`) against them.

use std::sync::Arc;

use mainstay_database::Transactions;

pub use crate::{leases::Leases, records::Records, sweep::Sweep};

/// Records that know the database that holds them, so that a request's transaction cannot be opened
/// in another one.
pub trait RecordStore: Records {
    /// The database that holds the records.
    type Database: Transactions<Connection = <Self as Records>::Connection>;

    /// The database that holds the records.
    fn database(&self) -> &Self::Database;
}

impl<R: RecordStore + ?Sized> RecordStore for Arc<R> {
    type Database = R::Database;

    fn database(&self) -> &R::Database {
        (**self).database()
    }
}
