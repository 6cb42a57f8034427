//! The outbox in a SQLite file.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use mainstay_database::{Migrations, Namespace, sqlite::Database};
use mainstay_messaging::{Message, Publisher, sqlite::Broker};
use mainstay_outbox::{
    DeduplicationKey, Enqueued, Entry, Error, Outbox as _, Relay, SqliteOutbox,
    conformance::{Fixture, Tape},
    sqlite::MIGRATIONS,
    store::{Limit, Outcome, Refusal, RelayStore as _},
};

struct SqliteFixture {
    database: Database,
    store: SqliteOutbox,
    _directory: tempfile::TempDir,
}

async fn open(path: &Path, shards: u16) -> Result<(Database, SqliteOutbox), Error> {
    let database = Database::open(path).await?;
    let store = SqliteOutbox::builder(&database)
        .source("/suite")
        .shards(shards)
        .max_message_size(10_000)
        .open()
        .await?;
    Ok((database, store))
}

async fn fixture() -> SqliteFixture {
    let directory = tempfile::tempdir().unwrap();
    let (database, store) = open(&directory.path().join("shop.db"), 4).await.unwrap();
    SqliteFixture {
        database,
        store,
        _directory: directory,
    }
}

#[async_trait]
impl Fixture for SqliteFixture {
    type Database = Database;
    type Store = SqliteOutbox;

    fn database(&self) -> &Database {
        &self.database
    }

    async fn foreign_database(&self) -> Database {
        Database::open(self.database.path()).await.unwrap()
    }

    fn store(&self) -> SqliteOutbox {
        self.store.clone()
    }

    async fn other_process(&self) -> SqliteOutbox {
        open(self.database.path(), 4).await.unwrap().1
    }

    async fn open_with_five_shards(&self) -> Result<(), Error> {
        open(self.database.path(), 5).await.map(drop)
    }

    async fn damage(&self, id: &str) {
        let mut tx = self.database.begin().await.unwrap();
        let damaged = sqlx::query("UPDATE outbox SET envelope = '{' WHERE envelope ->> 'id' = $1")
            .bind(id)
            .execute(&mut *tx)
            .await
            .unwrap();
        assert_eq!(damaged.rows_affected(), 1);
        self.database.commit(tx).await.unwrap();
    }

    async fn rows(&self) -> (usize, usize) {
        let (log, deferred): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM outbox_deferred)",
        )
        .fetch_one(self.database.reader())
        .await
        .unwrap();
        (log.try_into().unwrap(), deferred.try_into().unwrap())
    }
}

mainstay_outbox::conformance!(fixture());

fn message(key: &str, number: usize) -> Message {
    Message::builder()
        .id(format!("{key}-{number}"))
        .source("/suite")
        .topic("orders")
        .kind("Counted")
        .key(key)
        .build()
        .unwrap()
}

/// Runs the relay until the log is empty and the deferred table has `deferred` rows.
async fn drain<P: Publisher>(f: &SqliteFixture, relay: Relay<SqliteOutbox, P>, deferred: usize) {
    let drained = async {
        while f.rows().await != (0, deferred) {
            tokio::task::yield_now().await;
        }
    };
    let drained = tokio::time::timeout(Duration::from_secs(30), drained);
    let mut in_time = false;
    let ended = relay.run_until(async { in_time = drained.await.is_ok() });
    ended.await.unwrap();
    assert!(in_time, "the outbox was not drained");
}

/// SQLite keeps any bytes as TEXT.
#[tokio::test]
async fn bytes_that_are_no_text_block_their_key_and_no_other() {
    let f = fixture().await;
    let mut tx = f.database.begin().await.unwrap();
    for (key, number) in [("a", 0), ("a", 1), ("b", 0), ("c", 0), ("d", 0)] {
        let message = message(key, number);
        f.store.enqueue(&mut tx, &message).await.unwrap();
    }
    for damage in [
        "UPDATE outbox SET envelope = CAST(x'7bff' AS TEXT) WHERE envelope ->> 'id' = 'a-0'",
        "UPDATE outbox SET key = CAST(x'62ff' AS TEXT) WHERE key = 'b'",
        "UPDATE outbox SET topic = CAST(x'62ff' AS TEXT) WHERE key = 'c'",
    ] {
        sqlx::query(damage).execute(&mut *tx).await.unwrap();
    }
    f.database.commit(tx).await.unwrap();
    let tape = Tape::default();
    drain(&f, Relay::new(f.store(), tape.clone()), 4).await;
    assert_eq!(tape.ids(), ["d-0"]);
    let blocked: Vec<(i64, String)> = sqlx::query_as(
        "SELECT attempts, coalesce(reason, '') FROM outbox_deferred ORDER BY position",
    )
    .fetch_all(f.database.reader())
    .await
    .unwrap();
    assert_eq!(
        blocked.iter().map(|row| row.0).collect::<Vec<_>>(),
        [1, 1, 1, 0]
    );
    assert!(blocked[0].1.contains("utf-8"), "{blocked:?}");
}

/// During a rollout the relay may be older than the writer and the consumer.
#[tokio::test]
async fn attributes_of_a_newer_build_survive_an_older_relay() {
    let f = fixture().await;
    let log = f.database.path().with_file_name("log.db");
    let broker = Broker::open(&log).await.unwrap();
    broker.create_topic("orders", 1).await.unwrap();
    let mut tx = f.database.begin().await.unwrap();
    f.store.enqueue(&mut tx, &message("a", 0)).await.unwrap();
    let newer = "UPDATE outbox SET envelope = json_set(envelope, '$.tracestate', 'vendor=1') RETURNING envelope";
    let written: String = sqlx::query_scalar(newer).fetch_one(&mut *tx).await.unwrap();
    f.database.commit(tx).await.unwrap();
    drain(&f, Relay::new(f.store(), broker.publisher()), 0).await;
    let log = Database::open(&log).await.unwrap();
    let published: String = sqlx::query_scalar("SELECT envelope FROM broker_records")
        .fetch_one(log.reader())
        .await
        .unwrap();
    assert_eq!(published, written);
}

/// A saga uses a key per step, so keys must be removed faster than they are added.
#[tokio::test]
async fn old_deduplication_keys_are_removed_however_many_there_are() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("shop.db"))
        .await
        .unwrap();
    let store = SqliteOutbox::builder(&database)
        .deduplication_retention(Duration::from_secs(3600))
        .open()
        .await
        .unwrap();
    let mut tx = database.begin().await.unwrap();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                INSERT INTO outbox_deduplication_keys (deduplication_key, used_at) SELECT 'saga:' || i, i FROM n";
    sqlx::query(fill).execute(&mut *tx).await.unwrap();
    let (new, key) = (message("a", 0), DeduplicationKey::new("new").unwrap());
    let entries = [Entry::new(&new).deduplicate(&key)];
    let answers = store.enqueue_batch(&mut tx, &entries).await.unwrap();
    assert_eq!(answers, [Enqueued::Added]);
    database.commit(tx).await.unwrap();
    // A part of the lease is spent on it. This one is long enough, even if the host is busy.
    let lease = Duration::from_secs(3_600);
    assert_eq!(store.lease("relay", lease).await.unwrap().len(), 1);
    let left: Vec<String> =
        sqlx::query_scalar("SELECT deduplication_key FROM outbox_deduplication_keys")
            .fetch_all(database.reader())
            .await
            .unwrap();
    assert_eq!(left, ["new"]);
}

#[tokio::test]
async fn open_without_migrating_accepts_the_schema_of_another_tool_and_refuses_a_missing_one() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("shop.db"))
        .await
        .unwrap();
    let namespace = Namespace::prefixed("shop_").unwrap();
    let open = async || {
        let builder = SqliteOutbox::builder(&database).namespace(namespace.clone());
        builder.open_without_migrating().await
    };
    let run = async |sql: String| {
        let mut tx = database.begin().await.unwrap();
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
        sql.execute(&mut *tx).await.unwrap();
        database.commit(tx).await.unwrap();
    };
    let missing = open().await.unwrap_err().to_string();
    assert!(
        missing.contains("table shop_outbox is missing"),
        "{missing}"
    );
    for (_, sql) in MIGRATIONS.sql(&namespace) {
        run(sql).await;
    }
    // The steps record themselves, so that `open` accepts the schema as well.
    let builder = SqliteOutbox::builder(&database).namespace(namespace.clone());
    drop(builder.open().await.unwrap());
    let outbox = open().await.unwrap();
    let mut tx = database.begin().await.unwrap();
    outbox.enqueue(&mut tx, &message("a", 0)).await.unwrap();
    database.commit(tx).await.unwrap();
    run("ALTER TABLE shop_outbox_deferred DROP COLUMN reason".to_owned()).await;
    let missing = open().await.unwrap_err().to_string();
    let column = "column reason of table shop_outbox_deferred is missing";
    assert!(missing.contains(column), "{missing}");
    assert!(missing.contains("MIGRATIONS"), "{missing}");
}

/// The positions of heads, and the first positions of blocked keys: always the same.
async fn heads(database: &Database) -> (Vec<i64>, Vec<i64>) {
    let marked = "SELECT position FROM outbox_deferred WHERE head = 1 ORDER BY position";
    let first = "SELECT min(position) AS first FROM outbox_deferred WHERE blocked = 1
        GROUP BY topic, key, CASE WHEN key IS NULL THEN position END ORDER BY first";
    let read = async |sql: &'static str| {
        let positions = sqlx::query_scalar(sql).fetch_all(database.reader());
        positions.await.unwrap()
    };
    (read(marked).await, read(first).await)
}

async fn run(database: &Database, sql: &'static str) {
    let mut tx = database.begin().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut *tx).await.unwrap();
    database.commit(tx).await.unwrap();
}

/// Two keys, messages without one, and delayed ones.
const BLOCKED: &str =
    "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 12)
    INSERT INTO outbox_deferred (shard, topic, key, envelope, blocked, due_at)
    SELECT 0, 't', CASE WHEN n % 3 > 0 THEN 'k' || (n % 3) END, '{', 1, 0 FROM numbers;
    INSERT INTO outbox_deferred (shard, topic, key, envelope, blocked, due_at)
    VALUES (0, 't', 'd1', '{', 0, 0), (0, 't', 'd2', '{', 0, 0)";

#[tokio::test]
async fn the_head_of_a_key_is_its_first_row_after_every_kind_of_write() {
    let directory = tempfile::tempdir().unwrap();
    let (database, outbox) = open(&directory.path().join("shop.db"), 1).await.unwrap();
    let leases = outbox
        .lease("relay", Duration::from_secs(60))
        .await
        .unwrap();
    let check = async |what: &str| {
        let (marked, first) = heads(&database).await;
        assert_eq!(marked, first, "{what}");
    };
    run(&database, BLOCKED).await;
    check("rows were inserted").await;
    let limit = Limit {
        messages: 1_000,
        bytes: usize::MAX,
    };
    for retry_after in [Duration::ZERO, Duration::from_secs(1_000)] {
        let fetched = outbox.fetch(&leases, limit, &[]).await.unwrap();
        assert_eq!(fetched.rows.len(), 14);
        let refused = fetched.rows.iter().map(|row| Refusal {
            row_ref: row.row_ref,
            attempts: row.attempts + 1,
            retry_after,
            reason: "a test".to_owned(),
        });
        let outcome = Outcome {
            refused: refused.collect(),
            ..Outcome::default()
        };
        outbox.record(&leases, &outcome).await.unwrap();
        check("they were refused").await;
    }
    // As the guide says: a row deleted by hand skips its message.
    for delete in [
        "DELETE FROM outbox_deferred WHERE head = 1 AND key = 'k1'",
        "DELETE FROM outbox_deferred WHERE head = 0 AND key = 'k1'",
        "DELETE FROM outbox_deferred WHERE head = 1",
        "DELETE FROM outbox_deferred",
    ] {
        run(&database, delete).await;
        check(delete).await;
    }
}

/// Rows that a build before the marks has blocked.
#[tokio::test]
async fn rows_that_were_blocked_before_the_migration_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.db");
    let database = Database::open(&path).await.unwrap();
    let before = Migrations {
        steps: &MIGRATIONS.steps[..1],
        ..MIGRATIONS
    };
    database
        .migrate(&before, &Namespace::plain())
        .await
        .unwrap();
    run(&database, BLOCKED).await;
    let (database, _outbox) = open(&path, 1).await.unwrap();
    let (marked, first) = heads(&database).await;
    assert_eq!((marked.len(), marked), (6, first));
}
