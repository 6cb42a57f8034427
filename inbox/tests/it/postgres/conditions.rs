//! What a worker makes of a server that refuses: it says why, counts nothing, and goes on when it can.

use std::time::Duration;

use mainstay_database::postgres::{Database, Options, sqlx::AssertSqlSafe};
use mainstay_inbox::conformance::Fixture as _;

use super::{
    PostgresFixture, as_service, fixture,
    scene::{Act, Running, all_committed, effects, publish, until},
};
use crate::named::{message, topic};

async fn run(f: &PostgresFixture, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(sql).execute(&f.owner).await.unwrap();
}

#[tokio::test]
async fn a_worker_that_gets_no_connection_says_why_and_goes_on_when_it_gets_one() {
    let Some(f) = fixture().await else { return };
    f.create_topic(&topic(), 1).await;
    // Roles belong to the whole server: a name of this test's own.
    let login = format!("worker_{}", f.server.name().rsplit('_').next().unwrap());
    let role = super::ROLE;
    let create = format!("CREATE ROLE {login} LOGIN PASSWORD 'secret' IN ROLE {role}");
    run(&f, &create).await;
    let url = f.server.url();
    let (_, address) = url.split_once('@').unwrap();
    let url = as_service(&format!("postgres://{login}:secret@{address}"));
    let mut options = Options::default();
    // A login must fit in, on a busy machine as well.
    options.acquire_timeout = Duration::from_secs(3);
    let database = Database::connect_with(&url, options).await.unwrap();
    let running = Running::start_on(&f, database.clone(), |_| Act::Write, |worker| worker);
    publish(&f, &[message("a", 0)]).await;
    effects(&f, 1).await;
    run(
        &f,
        &format!(
            "ALTER ROLE {login} CONNECTION LIMIT 0;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'"
        ),
    )
    .await;
    publish(&f, &[message("a", 1)]).await;
    let words = ["too many connections for role", "raise its max_connections"];
    until("it says why", async || {
        let why = running.status().impeded_by?;
        words.iter().all(|word| why.contains(word)).then_some(())
    })
    .await;
    run(&f, &format!("ALTER ROLE {login} CONNECTION LIMIT -1")).await;
    assert_eq!(effects(&f, 2).await, ["a-0", "a-1"]);
    all_committed(&f).await;
    assert!(running.status().stopped.is_empty(), "it was counted");
    running.stop().await;
    database.close().await;
    run(&f, &format!("DROP ROLE {login}")).await;
}

/// Nobody but a person mends that: the worker says what it lacks, stops no key for it, and goes on once it is granted.
#[tokio::test]
async fn a_worker_without_a_privilege_says_which_and_blames_no_message() {
    let Some(f) = fixture().await else { return };
    f.create_topic(&topic(), 1).await;
    let role = super::ROLE;
    let marks = "shop.billing_inbox_marks";
    run(&f, &format!("REVOKE INSERT ON {marks} FROM {role}")).await;
    let running = Running::start(&f, |_| Act::Write, |worker| worker);
    publish(&f, &[message("a", 0), message("b", 0)]).await;
    let words = [
        "permission denied for table billing_inbox_marks",
        "grant it",
    ];
    until("it says which", async || {
        let why = running.status().impeded_by?;
        words.iter().all(|word| why.contains(word)).then_some(())
    })
    .await;
    assert!(running.status().stopped.is_empty(), "a message was blamed");
    assert!(!running.status().is_healthy());
    run(&f, &format!("GRANT INSERT ON {marks} TO {role}")).await;
    effects(&f, 2).await;
    all_committed(&f).await;
    running.stop().await;
}
