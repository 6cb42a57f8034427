//! Prepared statements that the server no longer runs: a worker goes on, and counts no attempt.

use mainstay_database::postgres::Database;
use mainstay_inbox::conformance::Fixture as _;

use super::{
    PostgresFixture, fixture_with,
    scene::{Act, Running, all_committed, effects, publish},
};
use crate::named::{message, topic};

const CONNECTIONS: u32 = 2;

/// A worker handles messages, its statements and those of its handler become stale, and it goes on.
async fn goes_on(make_stale: impl AsyncFn(&PostgresFixture)) {
    let Some(f) = fixture_with(|database| database.max_connections(CONNECTIONS)).await else {
        return;
    };
    f.create_topic(&topic(), 1).await;
    sqlx::raw_sql("INSERT INTO accounts VALUES (1, 0)")
        .execute(&f.owner)
        .await
        .unwrap();
    // The handler reads a column.
    let running = Running::start(&f, |_| Act::Lock(1), |worker| worker).await;
    let messages = |number| ["a", "b", "c", "d"].map(|key| message(key, number));
    for number in 0..3 {
        publish(&f, &messages(number)).await;
    }
    effects(&f, 12).await;
    make_stale(&f).await;
    for number in 3..6 {
        publish(&f, &messages(number)).await;
    }
    effects(&f, 24).await;
    all_committed(&f).await;
    // One attempt is allowed: none was counted.
    let status = running.status();
    assert!(status.blocked_keys.is_empty(), "{status:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_worker_goes_on_after_the_types_of_columns_changed() {
    goes_on(async |f| {
        let changes = "ALTER TABLE accounts ALTER balance TYPE integer;
            ALTER TABLE shop.billing_inbox_processed
              ALTER source TYPE varchar COLLATE \"C\", ALTER id TYPE varchar COLLATE \"C\"";
        sqlx::raw_sql(changes).execute(&f.owner).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_worker_goes_on_after_its_sessions_forgot_their_statements() {
    goes_on(async |f| {
        let database: &Database = &f.database;
        let mut sessions = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut session = database.pool().acquire().await.unwrap();
            let forget = sqlx::raw_sql("DEALLOCATE ALL").execute(&mut *session);
            forget.await.unwrap();
            sessions.push(session);
        }
    })
    .await;
}
