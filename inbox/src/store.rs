//! What the author of a store implements.
//!
//! Implement [`Inbox`], [`Retention`] and [`WorkerStore`], and run the conformance suite (feature
//! `conformance`) against them.

use std::sync::Arc;

use mainstay_database::Transactions;

pub use crate::{
    identity::Identity,
    inbox::{Admission, Inbox},
    retention::{Pruned, Retention},
};

/// A store that a [`Worker`](crate::Worker) can run on: it admits, prunes, and knows the database
/// that holds its tables. Handlers run in transactions of that database, so a worker cannot be
/// given another one.
pub trait WorkerStore: Inbox + Retention {
    /// The database that holds the store's tables.
    type Database: Transactions<Connection = <Self as Inbox>::Connection>;

    /// The database that holds the store's tables.
    fn database(&self) -> &Self::Database;
}

impl<S: WorkerStore + ?Sized> WorkerStore for Arc<S> {
    type Database = S::Database;

    fn database(&self) -> &S::Database {
        (**self).database()
    }
}
