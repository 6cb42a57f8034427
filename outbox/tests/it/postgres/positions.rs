//! Positions are drawn before the commit.

use mainstay_outbox::{Outbox as _, store::RelayStore as _};

use super::{LEASE, Running, acknowledged, fetched, id, ids, message, shop, until};

#[tokio::test]
async fn a_writer_that_draws_first_and_commits_last_loses_nothing() {
    let Some(shop) = shop().await else { return };
    let running = Running::start(&shop.outbox);
    let mut slow = shop.database.begin().await.unwrap();
    let enqueue = shop.outbox.enqueue(&mut slow, &message("a", 0)).await;
    enqueue.unwrap();
    for number in 0..30 {
        shop.commit(&[message("b", number), message("c", number)])
            .await;
    }
    until("the others are published", async || {
        running.tape.ids().len() == 60
    })
    .await;
    // It enqueues again, with positions before and after those the relay has seen.
    let enqueue = shop.outbox.enqueue(&mut slow, &message("a", 1)).await;
    enqueue.unwrap();
    shop.database.commit(slow).await.unwrap();
    shop.commit(&[message("a", 2)]).await;
    shop.until_drained().await;
    let stored = |key| running.tape.ids_of(key);
    assert_eq!(stored("a"), ["a-0", "a-1", "a-2"]);
    let all = |key: &str| (0..30).map(|n| format!("{key}-{n}")).collect::<Vec<_>>();
    assert_eq!((stored("b"), stored("c")), (all("b"), all("c")));
    running.stop().await;
}

/// A read behind the rows in flight would pass it: its key has later rows.
#[tokio::test]
async fn a_row_that_commits_between_rows_in_flight_is_read_before_later_ones() {
    let Some(shop) = shop().await else { return };
    let leases = shop.outbox.lease("relay", LEASE).await.unwrap();
    shop.commit(&[message("b", 0)]).await;
    let mut slow = shop.database.begin().await.unwrap();
    let enqueue = shop.outbox.enqueue(&mut slow, &message("a", 0)).await;
    enqueue.unwrap();
    shop.commit(&[message("b", 1)]).await;
    let first = fetched(&shop.outbox, &leases).await;
    assert_eq!(
        first.rows.iter().map(id).collect::<Vec<_>>(),
        ["b-0", "b-1"]
    );
    shop.database.commit(slow).await.unwrap();
    shop.commit(&[message("a", 1), message("b", 2)]).await;
    let in_flight: Vec<_> = first.rows.iter().map(|row| row.row_ref).collect();
    let next = shop.outbox.fetch(&leases, super::ALL, &in_flight);
    let next: Vec<_> = next.await.unwrap().rows.iter().map(id).collect();
    assert_eq!(next, ["a-0", "a-1", "b-2"]);
}

#[tokio::test]
async fn rows_that_an_old_snapshot_still_sees_are_not_published_again() {
    let Some(shop) = shop().await else { return };
    shop.commit(&[message("a", 0), message("b", 0)]).await;
    let mut old = shop.pool().begin().await.unwrap();
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .execute(&mut *old)
        .await
        .unwrap();
    let count = "SELECT count(*) FROM outbox";
    let seen: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut *old)
        .await
        .unwrap();
    assert_eq!(seen, 2);
    let running = Running::start_as(&shop.outbox, |relay| {
        relay.batch_size(7).batch_bytes(1_000_000)
    });
    for number in 1..100 {
        shop.commit(&[message("a", number), message("b", number)])
            .await;
    }
    shop.until_drained().await;
    let all = |key: &str| (0..100).map(|n| format!("{key}-{n}")).collect::<Vec<_>>();
    assert_eq!(running.tape.ids_of("a"), all("a"));
    assert_eq!(running.tape.ids_of("b"), all("b"));
    let seen: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut *old)
        .await
        .unwrap();
    assert_eq!(seen, 2, "the snapshot was deferred all the time");
    running.stop().await;
}

#[tokio::test]
async fn rollbacks_leave_gaps_and_nothing_else() {
    let Some(shop) = shop().await else { return };
    let running = Running::start(&shop.outbox);
    for number in 0..60 {
        let mut tx = shop.database.begin().await.unwrap();
        let enqueue = shop.outbox.enqueue(&mut tx, &message("a", number)).await;
        enqueue.unwrap();
        if number % 3 == 0 {
            shop.database.commit(tx).await.unwrap();
        }
    }
    shop.until_drained().await;
    let committed: Vec<_> = (0..60).step_by(3).map(|n| format!("a-{n}")).collect();
    assert_eq!(running.tape.ids(), committed);
    running.stop().await;
}

/// After a vacuum of an empty table, PostgreSQL keeps a plan that reads the whole table while it grows.
#[tokio::test]
async fn the_log_is_read_by_its_index_whatever_statistics_say() {
    let Some(shop) = shop().await else { return };
    let leases = shop.outbox.lease("relay", LEASE).await.unwrap();
    shop.run("VACUUM ANALYZE outbox").await;
    for number in 0..10 {
        // Often enough for a generic plan on each connection.
        shop.commit(&[message("a", number)]).await;
        let one = fetched(&shop.outbox, &leases).await;
        assert_eq!(one.rows.len(), 1);
        shop.outbox
            .record(&leases, &acknowledged(&one))
            .await
            .unwrap();
    }
    shop.run("VACUUM ANALYZE outbox").await;
    let scans = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'outbox'";
    let before = shop.count(scans).await;
    shop.run(
        "INSERT INTO outbox (shard, topic, key, envelope) SELECT 0, 't', 'k', '{}' FROM generate_series(1, 30000)",
    )
    .await;
    for _ in 0..10 {
        let mut some = fetched(&shop.outbox, &leases).await;
        some.rows.truncate(500);
        let outcome = acknowledged(&some);
        shop.outbox.record(&leases, &outcome).await.unwrap();
    }
    // Sessions report their counts within about a second, when they are used.
    let read = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE relname = 'outbox'";
    until("the counts are there", async || {
        drop(ids_of_nothing(&shop).await);
        shop.count(read).await >= 10 * 20_000
    })
    .await;
    assert_eq!(shop.count(scans).await, before, "the whole log was read");
    let left = fetched(&shop.outbox, &leases).await;
    assert_eq!(left.rows.len(), 25_000);
}

async fn ids_of_nothing(shop: &super::Shop) -> Vec<String> {
    ids(&shop.outbox, &[]).await
}

#[tokio::test]
async fn shards_are_read_in_position_order_and_cut_by_messages_and_bytes() {
    let Some(shop) = super::shop_with(|outbox| outbox.shards(3)).await else {
        return;
    };
    let leases = shop.outbox.lease("relay", LEASE).await.unwrap();
    let all: Vec<_> = (0..50).map(|n| message(&format!("k{n}"), n)).collect();
    shop.commit(&all).await;
    let sent: Vec<_> = all.iter().map(|message| message.id.to_string()).collect();
    assert_eq!(ids(&shop.outbox, &leases).await, sent);
    let mut limit = super::ALL;
    limit.messages = 20;
    let some = shop.outbox.fetch(&leases, limit, &[]).await.unwrap();
    let some: Vec<_> = some.rows.iter().map(id).collect();
    assert_eq!(some, sent[..20]);
    limit.bytes = 1;
    let one = shop.outbox.fetch(&leases, limit, &[]).await.unwrap();
    assert_eq!(one.rows.iter().map(id).collect::<Vec<_>>(), sent[..1]);
    // Of two shards, only their rows.
    let two = ids(&shop.outbox, &leases[1..]).await;
    assert!(two.len() < 50 && two.iter().all(|id| sent.contains(id)));
}
