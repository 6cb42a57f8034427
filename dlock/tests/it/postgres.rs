//! Leases and fences in PostgreSQL.

mod privileges;

use std::time::Duration;

use async_trait::async_trait;
use mainstay_database::{Namespace, postgres::Database};
use mainstay_dlock::{
    Error, FencingToken, Guard, Locks, PostgresFences, PostgresLeases, conformance::Fixture,
    postgres::guarded,
};
use mainstay_testkit::postgres::{Pooler, Server, TestDatabase};
use sqlx::PgConnection;

const SUITE: &str = "dlock";

pub(super) struct Postgres {
    database: Database,
    leases: PostgresLeases,
    fences: PostgresFences,
    server: TestDatabase,
}

/// Where many tests run at once, a login can take longer than the default allows.
async fn connect(server: &TestDatabase) -> Database {
    let database = Database::builder(server.url()).acquire_timeout(LONG);
    database.open().await.unwrap()
}

pub(super) async fn fixture() -> Option<Postgres> {
    let server = Server::for_suite(SUITE)?.database().await.unwrap();
    let database = connect(&server).await;
    Some(Postgres {
        leases: PostgresLeases::builder(&database).open().await.unwrap(),
        fences: PostgresFences::builder(&database).open().await.unwrap(),
        database,
        server,
    })
}

#[async_trait]
impl Fixture for Postgres {
    type Leases = PostgresLeases;
    type Database = Database;
    type Fences = PostgresFences;

    fn leases(&self) -> PostgresLeases {
        self.leases.clone()
    }

    async fn other_process(&self) -> PostgresLeases {
        let database = connect(&self.server).await;
        PostgresLeases::builder(&database).open().await.unwrap()
    }

    fn database(&self) -> &Database {
        &self.database
    }

    fn fences(&self) -> PostgresFences {
        self.fences.clone()
    }
}

mainstay_dlock::conformance!(if_there fixture());

const LONG: Duration = Duration::from_secs(120);

/// Works under the guard until its lease was renewed so often.
async fn renewed(guard: &Guard, times: usize) {
    let work = async {
        for _ in 0..times {
            let mut before = guard.remaining();
            // It sinks until it is renewed.
            loop {
                tokio::time::sleep(Duration::from_millis(2)).await;
                let left = guard.remaining();
                if left > before {
                    break;
                }
                before = left;
            }
        }
    };
    guard.run(work).await.unwrap();
}

/// The SQLSTATE with which a statement was refused.
async fn refused(connection: &mut PgConnection, sql: &'static str) -> Option<String> {
    let error = sqlx::raw_sql(sql).execute(connection).await.err()?;
    let answer = error.as_database_error().unwrap();
    Some(answer.code().unwrap().into_owned())
}

/// SQLSTATE 42501: insufficient privilege.
const UNFENCED: Option<&str> = Some("42501");

#[tokio::test]
async fn a_guarded_table_refuses_writes_without_a_checked_token() {
    let Some(f) = fixture().await else {
        return;
    };
    let pool = f.database.pool();
    sqlx::raw_sql("CREATE TABLE stock (item TEXT PRIMARY KEY, pieces INT); INSERT INTO stock VALUES ('hat', 7)")
        .execute(pool)
        .await
        .unwrap();
    // Running it again changes nothing.
    for _ in 0..2 {
        let sql = guarded(&Namespace::plain(), "public.stock", "it's \"stock\"");
        sqlx::raw_sql(sql).execute(pool).await.unwrap();
    }
    let writes = [
        "UPDATE stock SET pieces = 1",
        "INSERT INTO stock VALUES ('cap', 1)",
        "DELETE FROM stock WHERE item = 'nothing'",
        "TRUNCATE stock",
    ];
    let locks = Locks::builder(f.leases()).lease(LONG).build();
    let guard = locks.acquire("it's \"stock\"", LONG).await.unwrap();
    let other = locks.acquire("other", LONG).await.unwrap();
    for write in writes {
        let mut tx = f.database.begin().await.unwrap();
        other.check(&f.fences, &mut tx).await.unwrap();
        assert_eq!(
            refused(&mut tx, write).await.as_deref(),
            UNFENCED,
            "{write}"
        );
    }
    let mut tx = f.database.begin().await.unwrap();
    guard.check(&f.fences, &mut tx).await.unwrap();
    other.check(&f.fences, &mut tx).await.unwrap();
    guard.check(&f.fences, &mut tx).await.unwrap();
    for write in writes {
        assert_eq!(refused(&mut tx, write).await, None, "{write}");
    }
    f.database.commit(tx).await.unwrap();

    // A check counts for its own transaction, on whichever connection the next one runs.
    for _ in 0..5 {
        let mut tx = f.database.begin().await.unwrap();
        assert_eq!(refused(&mut tx, writes[0]).await.as_deref(), UNFENCED);
    }
    // And not past the end of its savepoint.
    let mut tx = f.database.begin().await.unwrap();
    assert_eq!(refused(&mut tx, "SAVEPOINT s").await, None);
    guard.check(&f.fences, &mut tx).await.unwrap();
    assert_eq!(refused(&mut tx, writes[0]).await, None);
    assert_eq!(refused(&mut tx, "ROLLBACK TO s").await, None);
    assert_eq!(refused(&mut tx, writes[0]).await.as_deref(), UNFENCED);
}

/// A token that was drawn before a wait would be granted after a larger one.
#[tokio::test]
async fn tokens_of_a_name_are_granted_in_the_order_in_which_they_are_drawn() {
    let Some(f) = fixture().await else {
        return;
    };
    // Somebody else's grant is under way: it has its turn, and has drawn nothing yet.
    let mut turn = f.database.begin().await.unwrap();
    let sql = "SELECT pg_advisory_xact_lock(hashtextextended('mainstay dlock_leases a', 0))";
    sqlx::raw_sql(sql).execute(&mut *turn).await.unwrap();
    let locks = Locks::builder(f.leases()).lease(LONG).build();
    let waiting = tokio::spawn(async move { locks.acquire("a", LONG).await });
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    loop {
        let waiting: i64 = sqlx::query_scalar(waits)
            .fetch_one(f.database.pool())
            .await
            .unwrap();
        if waiting > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let drawn: i64 = sqlx::query_scalar("SELECT nextval('dlock_tokens')")
        .fetch_one(&mut *turn)
        .await
        .unwrap();
    f.database.commit(turn).await.unwrap();
    let guard = waiting.await.unwrap().unwrap();
    assert!(guard.token().as_i64() > drawn, "{} {drawn}", guard.token());
    guard.release().await.unwrap();
}

/// Raising the sequence while others draw from it would take it back.
#[tokio::test]
async fn a_floor_waits_for_those_who_draw() {
    let Some(f) = fixture().await else {
        return;
    };
    let mut drawing = f.database.begin().await.unwrap();
    let sql = "SELECT pg_advisory_xact_lock_shared(hashtextextended('mainstay dlock_tokens', 0))";
    sqlx::raw_sql(sql).execute(&mut *drawing).await.unwrap();
    let locks = Locks::builder(f.leases()).lease(LONG).build();
    locks.raise_floor("a", FencingToken::new(1_000));
    let raised = locks.clone();
    let waiting = tokio::spawn(async move { raised.acquire("a", LONG).await });
    // Others draw meanwhile.
    let mut last = FencingToken::ZERO;
    for _ in 0..5 {
        let guard = tokio::time::timeout(LONG, locks.acquire("b", LONG));
        // Behind one that waits to raise it, they wait as well.
        tokio::select! {
            guard = guard => {
                let guard = guard.unwrap().unwrap();
                assert!(guard.token() > last && guard.token().as_i64() < 1_000);
                last = guard.token();
                guard.release().await.unwrap();
            }
            () = tokio::time::sleep(Duration::from_millis(50)) => break,
        }
    }
    assert!(!waiting.is_finished());
    f.database.commit(drawing).await.unwrap();
    let guard = waiting.await.unwrap().unwrap();
    assert!(guard.token().as_i64() > 1_000);
    let next = locks.acquire("b", LONG).await.unwrap();
    assert!(next.token() > guard.token());
}

#[tokio::test]
async fn a_schema_and_a_prefix_are_a_place_of_their_own() {
    let Some(f) = fixture().await else {
        return;
    };
    let pool = f.database.pool();
    sqlx::raw_sql("CREATE SCHEMA \"order\"; CREATE TABLE stock (pieces INT)")
        .execute(pool)
        .await
        .unwrap();
    let namespace = Namespace::prefixed("shop_").unwrap();
    let namespace = namespace.in_schema("order").unwrap();
    let leases = PostgresLeases::builder(pool).namespace(namespace.clone());
    let fences = PostgresFences::builder(pool).namespace(namespace.clone());
    let missing = leases.clone().open_without_migrating().await.unwrap_err();
    let names_it = |error: Error| {
        use mainstay_database::Error::MissingSchema;
        matches!(error, Error::Database(MissingSchema { component, .. }) if component == "dlock")
    };
    assert!(names_it(missing));
    assert!(names_it(
        fences.clone().open_without_migrating().await.unwrap_err()
    ));
    let leases = leases.open().await.unwrap();
    let fences = fences.open_without_migrating().await.unwrap();
    sqlx::raw_sql(guarded(&namespace, "stock", "a"))
        .execute(pool)
        .await
        .unwrap();

    let here = Locks::builder(leases).lease(LONG).build();
    let there = Locks::builder(f.leases()).lease(LONG).build();
    let guard = here.acquire("a", LONG).await.unwrap();
    let other = there.acquire("a", LONG).await.unwrap();
    let mut tx = f.database.begin().await.unwrap();
    other.check(&f.fences, &mut tx).await.unwrap();
    let write = "INSERT INTO stock VALUES (1)";
    assert_eq!(refused(&mut tx, write).await.as_deref(), UNFENCED);
    drop(tx);
    let mut tx = f.database.begin().await.unwrap();
    guard.check(&fences, &mut tx).await.unwrap();
    assert_eq!(refused(&mut tx, write).await, None);
}

/// A pooler in transaction mode: the next transaction runs in another session.
#[tokio::test]
async fn behind_a_pooler_locks_and_fences_do_the_same() {
    let Some(f) = fixture().await else {
        return;
    };
    let pooler = Pooler::for_suite("dlock, pooler", &f.server.url(), 3, "").await;
    let Some(pooler) = pooler.unwrap() else {
        return;
    };
    let url = pooler.url(f.server.name());
    let database = Database::builder(url).transaction_pooler(true).open().await;
    let database = database.unwrap();
    let leases = PostgresLeases::builder(&database).open().await.unwrap();
    let fences = PostgresFences::builder(&database).open().await.unwrap();
    let lease = Duration::from_secs(4);
    let locks = Locks::builder(leases).lease(lease).build();
    let guard = locks.acquire("a", LONG).await.unwrap();
    // A lease without renewals would have ended.
    renewed(&guard, 4).await;
    assert!(locks.try_acquire("a").await.unwrap().is_none());
    for _ in 0..5 {
        let mut tx = database.begin().await.unwrap();
        guard.check(&fences, &mut tx).await.unwrap();
        database.commit(tx).await.unwrap();
    }
    guard.release().await.unwrap();
    let next = locks.acquire("a", LONG).await.unwrap();
    next.release().await.unwrap();
    database.close().await;
}
