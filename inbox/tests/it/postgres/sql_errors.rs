//! SQL errors of handlers.

use std::time::Duration;

use mainstay_clock::Backoff;
use mainstay_inbox::{HandlerError, Received, Worker, conformance::Fixture as _};
use mainstay_messaging::Publisher as _;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{PostgresFixture, fixture};
use crate::named::{Named, group, message, topic};

async fn fails(connection: &mut PgConnection, sql: &str) -> sqlx::Error {
    let failing = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection);
    failing.await.unwrap_err()
}

/// An error of a user's own around the driver's.
#[derive(thiserror::Error, Debug)]
#[error("the order was not billed")]
struct NotBilled(#[from] sqlx::Error);

#[tokio::test]
async fn only_sql_errors_that_heal_by_themselves_count_no_attempt() {
    let Some(f) = fixture().await else { return };
    let raise = |code: &str| {
        format!("DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{code}'; END $$")
    };
    let mut connection = f.owner.acquire().await.unwrap();
    for code in ["40001", "40P01", "55P03", "57P03", "53100"] {
        for error in [
            HandlerError::from(fails(&mut connection, &raise(code)).await),
            HandlerError::retryable(fails(&mut connection, &raise(code)).await),
            HandlerError::from(NotBilled(fails(&mut connection, &raise(code)).await)),
        ] {
            assert!(
                !error.counts_attempt() && !error.is_permanent(),
                "{code}: {error}"
            );
        }
    }
    // The row that a foreign key needs may come with a message of another key; a missing table may
    // come with a migration.
    for code in ["23503", "23505", "42P01", "XX001"] {
        let error = HandlerError::from(fails(&mut connection, &raise(code)).await);
        assert!(
            error.counts_attempt() && !error.is_permanent(),
            "{code}: {error}"
        );
    }

    // The connection is lost in the middle of a handler.
    let end = "SELECT pg_terminate_backend(pg_backend_pid())";
    let error = HandlerError::from(fails(&mut connection, end).await);
    assert!(!error.counts_attempt(), "{error}");
    let error = HandlerError::retryable(fails(&mut connection, "SELECT 1").await);
    assert!(!error.counts_attempt(), "{error}");
}

/// The handlers of some messages leave the transaction failed and return no error.
async fn swallow(tx: &mut PgConnection, received: Received<Named>) -> Result<(), HandlerError> {
    let name = received.event.name;
    PostgresFixture::write(tx, &name).await?;
    if name.ends_with('7') {
        fails(tx, "SELECT 1 / 0").await;
    }
    Ok(())
}

#[tokio::test]
async fn a_swallowed_sql_error_fails_its_message_and_no_other() {
    let Some(f) = fixture().await else { return };
    f.create_topic(&topic(), 1).await;
    let messages: Vec<_> = (0..50).map(|n| message(&format!("k{n}"), n)).collect();
    for answer in f.publisher().publish(&messages).await {
        assert!(answer.is_acknowledged());
    }
    let consumer = f.consumer(&group(), &topic()).await;
    let moment = Duration::from_millis(2);
    let worker = Worker::new(f.inbox(), consumer).on(swallow);
    let worker = worker.backoff(Backoff::new(moment, moment)).max_attempts(3);
    let running = worker.spawn();
    let blocked = loop {
        let blocked = running.status().blocked_keys;
        if blocked.len() == 5 && f.effects().await.len() == 45 {
            break blocked;
        }
        tokio::time::sleep(moment).await;
    };
    for key in blocked {
        assert_eq!(key.attempts, 3);
        assert_eq!(key.position.offset % 10, 7);
    }
    running.shutdown().await.unwrap();
    let mut effects = f.effects().await;
    effects.sort_unstable();
    effects.dedup();
    assert_eq!(effects.len(), 45);
}
