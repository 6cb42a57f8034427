//! Blocked keys: which of their rows are marked as heads, whoever writes.

use std::time::Duration;

use mainstay_database::{Migrations, Namespace, postgres::Database};
use mainstay_outbox::{
    PostgresOutbox,
    postgres::MIGRATIONS,
    store::{Outcome, Refusal, RelayStore as _, ShardLease},
};
use mainstay_testkit::postgres::Server;
use sqlx::Executor as _;

use super::{ALL, LEASE, Running, Shop, fetched, id, ids, message, shop, until};

/// The positions of heads, and the first positions of blocked keys: always the same.
async fn heads(shop: &Shop) -> (Vec<i64>, Vec<i64>) {
    let marked = "SELECT position FROM outbox_deferred WHERE head ORDER BY position";
    let first = "SELECT min(position) AS first FROM outbox_deferred WHERE blocked
        GROUP BY topic, key, CASE WHEN key IS NULL THEN position END ORDER BY first";
    let read = async |sql: &'static str| {
        let positions = sqlx::query_scalar(sql).fetch_all(shop.pool());
        positions.await.unwrap()
    };
    (read(marked).await, read(first).await)
}

/// As the guide says: a row deleted by hand skips its message.
#[tokio::test]
async fn a_message_is_skipped_by_deleting_its_row() {
    let Some(shop) = shop().await else { return };
    let running = Running::start(&shop.outbox);
    running.tape.refuse("a-1");
    running.tape.refuse("b-0");
    let messages = (0..4).flat_map(|n| [message("a", n), message("b", n)]);
    shop.commit(&messages.collect::<Vec<_>>()).await;
    until("both keys are blocked", async || {
        shop.count("SELECT count(*) FROM outbox_deferred").await == 7 && running.tape.refusals() > 4
    })
    .await;
    // One from the middle of its key, and one from the head of it.
    shop.run("DELETE FROM outbox_deferred WHERE envelope::json ->> 'id' = 'a-2'")
        .await;
    shop.run("DELETE FROM outbox_deferred WHERE envelope::json ->> 'id' = 'b-0'")
        .await;
    until("the rest of the other key is published", async || {
        running.tape.ids_of("b") == ["b-1", "b-2", "b-3"]
    })
    .await;
    assert_eq!(running.tape.ids_of("a"), ["a-0"]);
    running.tape.accept();
    shop.until_drained().await;
    assert_eq!(running.tape.ids_of("a"), ["a-0", "a-1", "a-3"]);
    running.stop().await;
}

#[tokio::test]
async fn the_head_of_a_key_is_its_first_row_after_every_kind_of_write() {
    let Some(shop) = shop().await else { return };
    let leases = shop.outbox.lease("relay", LEASE).await.unwrap();
    let check = async |what: &str| {
        let (marked, first) = heads(&shop).await;
        assert_eq!(marked, first, "{what}");
    };
    // By hand, in one statement: two keys, and messages without one; then delayed ones.
    shop.run(
        "INSERT INTO outbox_deferred (shard, topic, key, envelope, blocked, due_at)
         SELECT 0, 't', CASE WHEN n % 3 > 0 THEN 'k' || n % 3 END, '{', true, 0 FROM generate_series(1, 12) n;
         INSERT INTO outbox_deferred (shard, topic, key, envelope, blocked, due_at)
         SELECT 0, 't', 'd' || n, '{', false, 0 FROM generate_series(1, 3) n",
    )
    .await;
    check("rows were inserted").await;
    // By the relay: everything that is due is refused.
    for retry_after in [Duration::ZERO, Duration::from_secs(1_000)] {
        let fetched = shop.outbox.fetch(&leases, ALL, &[]).await.unwrap();
        assert_eq!(fetched.rows.len(), 15);
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
        shop.outbox.record(&leases, &outcome).await.unwrap();
        check("they were refused").await;
    }
    for delete in [
        "DELETE FROM outbox_deferred WHERE head AND key = 'k1'",
        "DELETE FROM outbox_deferred WHERE NOT head AND key = 'k1'",
        "DELETE FROM outbox_deferred WHERE head",
        "DELETE FROM outbox_deferred",
    ] {
        shop.run(delete).await;
        check(delete).await;
    }
}

/// Blocks the keys of the `first` messages, with the `behind` messages behind them.
async fn block(shop: &Shop, first: &[(&str, usize)], behind: &[(&str, usize)]) -> Vec<ShardLease> {
    let leases = shop.outbox.lease("relay", LEASE).await.unwrap();
    let messages = first.iter().chain(behind);
    let messages = messages.map(|(key, number)| message(key, *number));
    shop.commit(&messages.collect::<Vec<_>>()).await;
    let fetched = fetched(&shop.outbox, &leases).await;
    let (refused, held) = fetched.rows.split_at(first.len());
    let refused = refused.iter().map(|row| Refusal {
        row_ref: row.row_ref,
        attempts: 1,
        retry_after: Duration::ZERO,
        reason: "a test".to_owned(),
    });
    let outcome = Outcome {
        refused: refused.collect(),
        held: held.iter().map(|row| row.row_ref).collect(),
        ..Outcome::default()
    };
    shop.outbox.record(&leases, &outcome).await.unwrap();
    leases
}

/// The outcome that `a-0`, the first row that is due, was published.
async fn first_acknowledged(shop: &Shop, leases: &[ShardLease]) -> Outcome {
    let fetched = fetched(&shop.outbox, leases).await;
    assert_eq!(id(&fetched.rows[0]), "a-0");
    Outcome {
        acknowledged: vec![fetched.rows[0].row_ref],
        ..Outcome::default()
    }
}

/// The row that would be the next head is deleted by a transaction that is still open.
#[tokio::test]
async fn a_record_that_meets_the_deletion_of_the_next_head_marks_the_one_after_it() {
    let Some(shop) = shop().await else { return };
    let leases = block(&shop, &[("a", 0)], &[("a", 1), ("a", 2)]).await;
    let outcome = first_acknowledged(&shop, &leases).await;
    let mut operator = shop.pool().begin().await.unwrap();
    let skip = "DELETE FROM outbox_deferred WHERE envelope::json ->> 'id' = 'a-1'";
    operator.execute(skip).await.unwrap();
    let (recorded, ()) = tokio::join!(shop.outbox.record(&leases, &outcome), async {
        shop.until_blocked(1).await;
        operator.commit().await.unwrap();
    });
    recorded.unwrap();
    let (marked, first) = heads(&shop).await;
    assert_eq!(marked, first);
    assert_eq!(ids(&shop.outbox, &leases).await, ["a-2"]);
}

/// The only row of a key is deleted by a transaction that is still open, while another is put behind it.
#[tokio::test]
async fn a_record_that_meets_the_deletion_of_a_head_marks_the_row_that_it_puts_behind() {
    let Some(shop) = shop().await else { return };
    let leases = block(&shop, &[("a", 0)], &[]).await;
    shop.commit(&[message("a", 1)]).await;
    let fetched = fetched(&shop.outbox, &leases).await;
    let later = fetched.rows.iter().find(|row| id(row) == "a-1").unwrap();
    let outcome = Outcome {
        held: vec![later.row_ref],
        ..Outcome::default()
    };
    let mut operator = shop.pool().begin().await.unwrap();
    let skip = "DELETE FROM outbox_deferred";
    operator.execute(skip).await.unwrap();
    let (recorded, ()) = tokio::join!(shop.outbox.record(&leases, &outcome), async {
        shop.until_blocked(1).await;
        operator.commit().await.unwrap();
    });
    recorded.unwrap();
    let (marked, first) = heads(&shop).await;
    assert_eq!(marked, first);
    assert_eq!(ids(&shop.outbox, &leases).await, ["a-1"]);
}

/// The relay waits for a row that the operator deletes; the operator must not wait for the relay's in turn.
#[tokio::test]
async fn a_record_and_a_deletion_behind_its_head_do_not_deadlock() {
    let Some(shop) = shop().await else { return };
    let behind = [("a", 1), ("a", 2), ("b", 1)];
    let leases = block(&shop, &[("a", 0), ("b", 0)], &behind).await;
    let outcome = first_acknowledged(&shop, &leases).await;
    // Keeps the deletion from completing when it has deleted the first of its rows.
    let mut in_the_way = shop.pool().begin().await.unwrap();
    let lock = "SELECT FROM outbox_deferred WHERE envelope::json ->> 'id' = 'b-1' FOR UPDATE";
    in_the_way.execute(lock).await.unwrap();
    let skip = "DELETE FROM outbox_deferred WHERE envelope::json ->> 'id' IN ('a-1', 'b-1')";
    let ((), recorded, ()) = tokio::join!(
        shop.run(skip),
        async {
            shop.until_blocked(1).await;
            shop.outbox.record(&leases, &outcome).await
        },
        async {
            shop.until_blocked(2).await;
            in_the_way.commit().await.unwrap();
        }
    );
    recorded.unwrap();
    let (marked, first) = heads(&shop).await;
    assert_eq!(marked, first);
    assert_eq!(marked.len(), 2);
}

/// As the guide says: a deleter in REPEATABLE READ does not see what was held after its snapshot.
#[tokio::test]
async fn a_key_whose_head_was_deleted_in_repeatable_read_is_repaired_as_the_guide_says() {
    let Some(shop) = shop().await else { return };
    let leases = block(&shop, &[("a", 0)], &[]).await;
    let mut operator = shop.pool().begin().await.unwrap();
    let snapshot = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT FROM outbox_deferred";
    operator.execute(snapshot).await.unwrap();
    shop.commit(&[message("a", 1)]).await;
    let fetched = fetched(&shop.outbox, &leases).await;
    let later = fetched.rows.iter().find(|row| id(row) == "a-1").unwrap();
    let outcome = Outcome {
        held: vec![later.row_ref],
        ..Outcome::default()
    };
    shop.outbox.record(&leases, &outcome).await.unwrap();
    let skip = "DELETE FROM outbox_deferred WHERE topic = 'orders' AND key = 'a'";
    operator.execute(skip).await.unwrap();
    operator.commit().await.unwrap();
    let repair =
        "UPDATE outbox_deferred SET blocked = blocked WHERE topic = 'orders' AND key = 'a'";
    shop.run(repair).await;
    let (marked, first) = heads(&shop).await;
    assert_eq!((marked.len(), &marked), (1, &first));
    assert_eq!(ids(&shop.outbox, &leases).await, ["a-1"]);
}

/// Rows that a build before the marks has blocked.
#[tokio::test]
async fn rows_that_were_blocked_before_the_migration_go_on() {
    let Some(server) = Server::for_suite("outbox") else {
        return;
    };
    let server = server.database().await.unwrap();
    let database = Database::connect(&server.url()).await.unwrap();
    let before = Migrations {
        steps: &MIGRATIONS.steps[..1],
        ..MIGRATIONS
    };
    database
        .migrate(&before, &Namespace::plain())
        .await
        .unwrap();
    let blocked = "INSERT INTO outbox_deferred (shard, topic, key, envelope, blocked, due_at)
        SELECT 0, 'orders', k, json_build_object('id', k || '-' || n, 'source', '/s', 'kind', 'K', 'version', 1), true, 0
        FROM generate_series(0, 2) n, unnest(ARRAY['a', 'b']) k ORDER BY n, k";
    sqlx::raw_sql(blocked)
        .execute(database.pool())
        .await
        .unwrap();
    let outbox = PostgresOutbox::builder(&database).open().await.unwrap();
    let leases = outbox.lease("relay", LEASE).await.unwrap();
    let mut found = ids(&outbox, &leases).await;
    found.sort();
    assert_eq!(found, ["a-0", "a-1", "a-2", "b-0", "b-1", "b-2"]);
}
