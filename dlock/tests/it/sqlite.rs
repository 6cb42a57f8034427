//! Leases and fences in a SQLite file.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mainstay_clock::{BootId, Clock, Monotonic};
use mainstay_database::{Namespace, sqlite::Database};
use mainstay_dlock::{
    Error, FencingToken, Locks, SqliteFences, SqliteLeases,
    conformance::Fixture,
    sqlite::guarded,
    store::{Acquired, Claim, Holding, LeaseStore as _},
};
use sqlx::SqliteConnection;

pub(super) struct Sqlite {
    database: Database,
    leases: SqliteLeases,
    fences: SqliteFences,
    _directory: tempfile::TempDir,
}

pub(super) async fn fixture() -> Sqlite {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("locks.db"));
    let database = database.await.unwrap();
    Sqlite {
        leases: SqliteLeases::builder(&database).open().await.unwrap(),
        fences: SqliteFences::builder(&database).open().await.unwrap(),
        database,
        _directory: directory,
    }
}

#[async_trait]
impl Fixture for Sqlite {
    type Leases = SqliteLeases;
    type Database = Database;
    type Fences = SqliteFences;

    fn leases(&self) -> SqliteLeases {
        self.leases.clone()
    }

    async fn other_process(&self) -> SqliteLeases {
        let database = Database::open(self.database.path()).await.unwrap();
        SqliteLeases::builder(&database).open().await.unwrap()
    }

    fn database(&self) -> &Database {
        &self.database
    }

    fn fences(&self) -> SqliteFences {
        self.fences.clone()
    }

    fn renews_beside_transactions(&self) -> bool {
        false
    }
}

mainstay_dlock::conformance!(fixture());

const LONG: Duration = Duration::from_secs(120);

/// Whether a statement was refused by a guard.
async fn refused(connection: &mut SqliteConnection, sql: &'static str) -> bool {
    let Err(error) = sqlx::raw_sql(sql).execute(connection).await else {
        return false;
    };
    let told = error.to_string();
    assert!(
        told.contains("call guard.check(&fences, &mut tx) first"),
        "{told}"
    );
    true
}

#[tokio::test]
async fn a_guarded_table_refuses_writes_without_a_checked_token() {
    let f = fixture().await;
    let mut tx = f.database.begin().await.unwrap();
    let table = "CREATE TABLE stock (item TEXT PRIMARY KEY, pieces INT); INSERT INTO stock VALUES ('hat', 7)";
    sqlx::raw_sql(table).execute(&mut *tx).await.unwrap();
    // Running it again changes nothing.
    for _ in 0..2 {
        let sql = guarded(&Namespace::plain(), "stock", "it's stock");
        sqlx::raw_sql(sql).execute(&mut *tx).await.unwrap();
    }
    f.database.commit(tx).await.unwrap();
    let fences = SqliteFences::builder(&f.database).guards_tables(true);
    let fences = fences.open().await.unwrap();
    let writes = [
        "UPDATE stock SET pieces = 1",
        "INSERT INTO stock VALUES ('cap', 1)",
        "DELETE FROM stock WHERE item = 'hat'",
    ];
    let locks = Locks::builder(f.leases()).lease(LONG).build();
    let guard = locks.acquire("it's stock", LONG).await.unwrap();
    let other = locks.acquire("other", LONG).await.unwrap();
    for write in writes {
        let mut tx = f.database.begin().await.unwrap();
        assert!(refused(&mut tx, write).await, "{write}");
        other.check(&fences, &mut tx).await.unwrap();
        assert!(refused(&mut tx, write).await, "{write}");
    }
    let mut tx = f.database.begin().await.unwrap();
    guard.check(&fences, &mut tx).await.unwrap();
    other.check(&fences, &mut tx).await.unwrap();
    for write in writes {
        assert!(!refused(&mut tx, write).await, "{write}");
    }
    f.database.commit(tx).await.unwrap();

    // A check counts for its own transaction. There is one connection that writes.
    for _ in 0..2 {
        let mut tx = f.database.begin().await.unwrap();
        assert!(refused(&mut tx, writes[1]).await);
        other.check(&fences, &mut tx).await.unwrap();
        assert!(refused(&mut tx, writes[1]).await);
        f.database.commit(tx).await.unwrap();
    }
}

/// A host at some moment.
#[derive(Clone, Debug)]
struct Host {
    boot: &'static str,
    up: Duration,
}

impl Clock for Host {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_origin(self.up)
    }

    fn boot_id(&self) -> BootId {
        BootId::new(self.boot)
    }
}

#[tokio::test]
async fn a_lease_lasts_through_suspended_time_and_ends_with_its_boot() {
    let f = fixture().await;
    let at = async |boot, seconds| {
        let up = Duration::from_secs(seconds);
        let leases = SqliteLeases::builder(&f.database).clock(Host { boot, up });
        leases.open().await.unwrap()
    };
    let claim = |owner| Claim {
        holding: Holding { name: "a", owner },
        lease: Duration::from_secs(60),
        above: FencingToken::ZERO,
    };
    let granted = async |leases: SqliteLeases, owner| {
        let acquired = leases.acquire(claim(owner)).await.unwrap();
        matches!(acquired, Acquired::Granted(_))
    };
    assert!(granted(at("one", 1_000).await, "first").await);
    assert!(!granted(at("one", 1_059).await, "second").await);
    // However the host spent the time.
    assert!(granted(at("one", 1_060).await, "second").await);
    // Its clock began anew.
    let rebooted = at("two", 5).await;
    let renewed = rebooted.renew(&[claim("second").holding], LONG).await;
    assert_eq!(renewed.unwrap(), [false]);
    assert!(granted(rebooted, "third").await);
}

#[tokio::test]
async fn a_prefix_is_a_place_of_its_own_and_a_missing_schema_is_named() {
    let f = fixture().await;
    let namespace = Namespace::prefixed("shop_").unwrap();
    let leases = SqliteLeases::builder(&f.database).namespace(namespace.clone());
    let fences = SqliteFences::builder(&f.database).namespace(namespace);
    let names_it = |error: Error| {
        use mainstay_database::Error::MissingSchema;
        matches!(error, Error::Database(MissingSchema { component, .. }) if component == "dlock")
    };
    assert!(names_it(
        leases.clone().open_without_migrating().await.unwrap_err()
    ));
    assert!(names_it(
        fences.clone().open_without_migrating().await.unwrap_err()
    ));
    let leases = leases.open().await.unwrap();
    fences.open_without_migrating().await.unwrap();
    let here = Locks::builder(leases).lease(LONG).build();
    let there = Locks::builder(f.leases()).lease(LONG).build();
    let guards = (
        here.acquire("a", LONG).await.unwrap(),
        there.acquire("a", LONG).await.unwrap(),
    );
    drop(guards);
}
