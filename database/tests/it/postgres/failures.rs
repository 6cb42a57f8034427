//! Failures of a server and its connections.

use std::{pin::pin, time::Duration};

use mainstay_database::Transactions as _;
use sqlx::Connection as _;

use super::*;

/// PostgreSQL answers COMMIT in a failed transaction with ROLLBACK, and does not call it an error.
#[tokio::test]
async fn a_commit_after_a_swallowed_error_is_no_commit() {
    let Some((database, _server)) = database().await else {
        return;
    };
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 1, 1).await.unwrap();
    assert!(insert(&mut tx, 1, 1).await.is_err());
    let refused = insert(&mut tx, 2, 1).await.unwrap_err();
    assert!(matches!(refused, Error::Aborted), "{refused:?}");
    let committed = database.commit(tx).await;
    assert!(matches!(committed, Err(Error::Aborted)), "{committed:?}");
    assert_eq!(keys(&database).await, [0_i64; 0]);
}

#[tokio::test]
async fn a_lock_that_does_not_come_free_is_a_conflict() {
    let Some((database, _server)) =
        database_with(|builder| builder.lock_timeout(Duration::from_millis(50))).await
    else {
        return;
    };
    let mut holder = database.begin().await.unwrap();
    insert(&mut holder, 1, 1).await.unwrap();
    let mut waiter = database.begin().await.unwrap();
    let lost = insert(&mut waiter, 1, 1).await.unwrap_err();
    assert!(matches!(lost, Error::Conflict(_)), "{lost:?}");
}

#[tokio::test]
async fn of_two_transactions_in_a_deadlock_one_continues() {
    let Some((database, _server)) = database().await else {
        return;
    };
    let (mut one, mut two) = (
        database.begin().await.unwrap(),
        database.begin().await.unwrap(),
    );
    insert(&mut one, 1, 1).await.unwrap();
    insert(&mut two, 2, 1).await.unwrap();
    let first = async {
        let outcome = insert(&mut one, 2, 1).await;
        match outcome {
            Ok(()) => database.commit(one).await,
            Err(error) => {
                drop(one);
                Err(error)
            }
        }
    };
    let second = async {
        let outcome = insert(&mut two, 1, 1).await;
        match outcome {
            Ok(()) => database.commit(two).await,
            Err(error) => {
                drop(two);
                Err(error)
            }
        }
    };
    let outcomes = tokio::join!(first, second);
    let ((Ok(()), Err(lost)) | (Err(lost), Ok(()))) = outcomes else {
        panic!("{outcomes:?}");
    };
    assert!(matches!(lost, Error::Conflict(_)), "{lost:?}");
    assert_eq!(keys(&database).await, [1, 2]);
}

/// A process that was stopped in the middle must not hold its rows for ever.
#[tokio::test]
async fn an_idle_transaction_is_ended_by_the_server() {
    let Some((database, _server)) =
        database_with(|builder| builder.idle_in_transaction_timeout(Duration::from_secs(1))).await
    else {
        return;
    };
    let mut idle = database.begin().await.unwrap();
    insert(&mut idle, 1, 1).await.unwrap();
    // Waits for the row of the idle one, and gets it.
    let mut next = database.begin().await.unwrap();
    insert(&mut next, 1, 2).await.unwrap();
    database.commit(next).await.unwrap();
    let late = database.commit(idle).await.unwrap_err();
    assert!(late.is_retryable(), "{late:?}");
    assert_eq!(keys(&database).await, [1]);
}

#[tokio::test]
async fn connections_that_were_cut_are_replaced() {
    let Some((database, _server)) = database().await else {
        return;
    };
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 1, 1).await.unwrap();
    let victim = backend(&mut tx).await;
    sqlx::query("SELECT pg_terminate_backend($1)")
        .bind(victim)
        .execute(database.pool())
        .await
        .unwrap();
    let cut = insert(&mut tx, 2, 1).await.unwrap_err();
    assert!(matches!(cut, Error::Unavailable(_)), "{cut:?}");
    drop(tx);
    // Every connection of the pool in turn.
    for key in 10..30 {
        let mut tx = database.begin().await.unwrap();
        insert(&mut tx, key, 1).await.unwrap();
        database.commit(tx).await.unwrap();
    }
    assert_eq!(keys(&database).await.len(), 20);
}

/// A server that restarts ends all connections at once. Nothing was done on those that are idle.
#[tokio::test]
async fn connections_that_ended_while_idle_fail_no_transaction() {
    let Some((database, server)) = database().await else {
        return;
    };
    let mut killer = PgConnection::connect(&server.url()).await.unwrap();
    for round in 0..3 {
        let begin = async || database.begin().await.unwrap();
        let open = tokio::join!(begin(), begin(), begin());
        for (key, mut tx) in (round * 3..).zip([open.0, open.1, open.2]) {
            insert(&mut tx, key, 1).await.unwrap();
            database.commit(tx).await.unwrap();
        }
        let cut = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let cut = sqlx::query(cut).execute(&mut killer).await.unwrap();
        assert!(cut.rows_affected() >= 3, "{cut:?}");
    }
    let begun = database.begin().await.unwrap();
    database.commit(begun).await.unwrap();
}

#[tokio::test]
async fn a_commit_on_a_connection_that_was_cut_is_unknown_or_retryable() {
    let Some((database, _server)) = database().await else {
        return;
    };
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 1, 1).await.unwrap();
    let victim = backend(&mut tx).await;
    sqlx::query("SELECT pg_terminate_backend($1)")
        .bind(victim)
        .execute(database.pool())
        .await
        .unwrap();
    let cut = database.commit(tx).await.unwrap_err();
    assert!(cut.is_retryable(), "{cut:?}");
    assert_eq!(keys(&database).await, [0_i64; 0]);
}

/// A request handler is dropped when its client disconnects: later statements of the connection
/// would never be committed.
#[tokio::test]
async fn a_begin_that_is_cancelled_leaves_nothing_open() {
    let Some((database, server)) = database_with(|builder| builder.max_connections(1)).await else {
        return;
    };
    let mut witness = PgConnection::connect(&server.url()).await.unwrap();
    for polls in 1..=6 {
        {
            // Dropped wherever it has come to.
            let mut beginning = pin!(database.begin());
            for _ in 0..polls {
                tokio::select! {
                    biased;
                    _begun = &mut beginning => break,
                    () = tokio::task::yield_now() => {}
                }
            }
        }
        let insert = sqlx::query("INSERT INTO number (key, value) VALUES ($1, 0)");
        let inserted = insert.bind(polls).execute(database.pool()).await;
        inserted.unwrap();
        let seen = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM number");
        assert_eq!(seen.fetch_one(&mut witness).await.unwrap(), polls);
    }
}

#[tokio::test]
async fn a_commit_notifies_and_a_rollback_does_not() {
    let Some((database, _server)) = database().await else {
        return;
    };
    let counter = crate::listener::count_commits!(database);
    drop(database.begin().await.unwrap());
    let mut refused = database.begin().await.unwrap();
    insert(&mut refused, 1, 1).await.unwrap();
    insert(&mut refused, 1, 1).await.unwrap_err();
    drop(refused);
    assert_eq!(counter.commits(), 0);
    let tx = database.begin().await.unwrap();
    Database::from(&database).commit(tx).await.unwrap();
    assert_eq!(counter.commits(), 1);
}

#[tokio::test]
async fn a_database_on_an_existing_pool_takes_the_pools_own_transactions() {
    let Some((database, _server)) = database().await else {
        return;
    };
    let pool = database.pool().clone();
    let timeout = Duration::from_millis(50);
    let built = Database::builder_on(pool.clone()).lock_timeout(timeout);
    for on_pool in [
        built.build(),
        Database::from(&pool),
        Database::from(pool.clone()),
    ] {
        let counter = crate::listener::count_commits!(on_pool);
        let tx = pool.begin().await.unwrap();
        on_pool.commit(tx).await.unwrap();
        assert_eq!(counter.commits(), 1);
    }
}

#[tokio::test]
async fn a_savepoint_shows_a_swallowed_error_and_survives_it() {
    let Some((database, _server)) = database().await else {
        return;
    };
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 1, 1).await.unwrap();
    database.savepoint(&mut tx).await.unwrap();
    assert!(insert(&mut tx, 1, 1).await.is_err());
    let released = database.release_savepoint(&mut tx).await;
    assert!(matches!(released, Err(Error::Aborted)), "{released:?}");
    database.roll_back_to_savepoint(&mut tx).await.unwrap();
    insert(&mut tx, 2, 1).await.unwrap();
    database.release_savepoint(&mut tx).await.unwrap();
    database.commit(tx).await.unwrap();
    assert_eq!(keys(&database).await, [1, 2]);
}

/// As the tables in memory do.
#[tokio::test]
async fn going_back_to_a_savepoint_releases_what_others_wait_for() {
    let Some((database, _server)) = database().await else {
        return;
    };
    let mut tx = database.begin().await.unwrap();
    database.savepoint(&mut tx).await.unwrap();
    insert(&mut tx, 1, 10).await.unwrap();
    let mut other = database.begin().await.unwrap();
    let pid = backend(&mut other).await;
    let other = tokio::spawn(async move {
        insert(&mut other, 1, 20).await.unwrap();
        other
    });
    let blocked = "SELECT cardinality(pg_blocking_pids($1)) > 0";
    while !sqlx::query_scalar::<_, bool>(blocked)
        .bind(pid)
        .fetch_one(database.pool())
        .await
        .unwrap()
    {
        tokio::task::yield_now().await;
    }
    database.roll_back_to_savepoint(&mut tx).await.unwrap();
    let other = other.await.unwrap();
    database.commit(other).await.unwrap();
    database.commit(tx).await.unwrap();
    assert_eq!(keys(&database).await, [1]);
}
