//! Listeners of commits.

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_database::memory::{CommitFault, Fault, Link, Outcome};

use super::*;
use crate::listener::count_commits;

#[tokio::test(start_paused = true)]
async fn a_commit_notifies_listeners_of_every_clone_and_a_rollback_does_not() {
    let database = database();
    let counter = count_commits!(database.clone());
    drop(database.begin().await.unwrap());
    assert_eq!(counter.commits(), 0);
    let tx = database.begin().await.unwrap();
    Database::from(&database).commit(tx).await.unwrap();
    assert_eq!(counter.commits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_unknown_outcome_notifies_and_one_that_failed_does_not() {
    let database = database();
    let counter = count_commits!(database);
    let outcomes = [Outcome::Applied, Outcome::NotApplied, Outcome::AppliedLater];
    for fault in outcomes.map(CommitFault::Unknown) {
        database.faults().at_commit(1, fault);
        let tx = database.begin().await.unwrap();
        database.commit(tx).await.unwrap_err();
    }
    assert_eq!(counter.commits(), 3);
    database.faults().at_commit(1, CommitFault::Serialization);
    let tx = database.begin().await.unwrap();
    database.commit(tx).await.unwrap_err();
    assert_eq!(counter.commits(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_listener_is_forgotten() {
    let database = database();
    let (dropped, kept) = (count_commits!(database), count_commits!(database));
    drop(dropped);
    let tx = database.begin().await.unwrap();
    database.commit(tx).await.unwrap();
    assert_eq!(kept.commits(), 1);
}

#[derive(Debug)]
struct Open;

#[async_trait]
impl Link for Open {
    async fn begin(&self) -> bool {
        true
    }
    async fn statement(&self) -> Option<Fault> {
        None
    }
    async fn commit(&self) -> Option<CommitFault> {
        None
    }
    fn lingers(&self) -> bool {
        false
    }
}

/// A notification does not cross processes.
#[tokio::test(start_paused = true)]
async fn a_handle_over_a_link_has_listeners_of_its_own() {
    let database = database();
    let counter = count_commits!(database);
    let other = database.through(Arc::new(Open));
    let tx = other.begin().await.unwrap();
    other.commit(tx).await.unwrap();
    assert_eq!(counter.commits(), 0);
}
