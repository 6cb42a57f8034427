//! Leases and fencing tokens where several sessions write at once.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use mainstay_clock::{BootId, Clock, Monotonic, SystemClock};
use mainstay_database::postgres::Database;
use mainstay_outbox::{
    Error, PostgresOutbox,
    store::{Fetched, Outcome, Refusal, RelayStore as _},
};
use sqlx::Executor as _;

use super::{LEASE, PATIENCE, Running, acknowledged, fetched, ids, message, shop, until};

/// The statement's snapshot shows the old token; only the lock shows the new one.
#[tokio::test]
async fn a_record_that_meets_a_takeover_waits_for_it_and_is_refused() {
    let Some(shop) = shop().await else { return };
    let old = shop.outbox.lease("old", LEASE).await.unwrap();
    shop.commit(&[message("a", 0)]).await;
    let outcome = acknowledged(&fetched(&shop.outbox, &old).await);
    let mut takeover = shop.pool().begin().await.unwrap();
    let take = "UPDATE outbox_shards SET owner = 'new', fence = fence + 1";
    takeover.execute(take).await.unwrap();
    let (recorded, ()) = tokio::join!(shop.outbox.record(&old, &outcome), async {
        shop.until_blocked(1).await;
        takeover.commit().await.unwrap();
    });
    assert!(matches!(recorded, Err(Error::Fenced)), "{recorded:?}");
    assert_eq!(shop.count("SELECT count(*) FROM outbox").await, 1);
}

#[tokio::test]
async fn a_takeover_waits_for_a_record_in_flight() {
    let Some(shop) = shop().await else { return };
    let old = shop.outbox.lease("old", Duration::ZERO).await.unwrap();
    shop.commit(&[message("a", 0)]).await;
    let outcome = acknowledged(&fetched(&shop.outbox, &old).await);
    // Keeps the record from completing.
    let mut in_the_way = shop.pool().begin().await.unwrap();
    let lock = "SELECT FROM outbox FOR UPDATE";
    in_the_way.execute(lock).await.unwrap();
    let (recorded, new, ()) = tokio::join!(
        shop.outbox.record(&old, &outcome),
        async {
            shop.until_blocked(1).await;
            shop.outbox.lease("new", LEASE).await
        },
        async {
            shop.until_blocked(2).await;
            in_the_way.commit().await.unwrap();
        }
    );
    recorded.unwrap();
    let new = new.unwrap();
    assert!(new[0].fence > old[0].fence);
    assert!(ids(&shop.outbox, &new).await.is_empty());
}

/// The first row is refused and the others are held behind it.
fn moves(fetched: &Fetched) -> Outcome {
    let mut row_refs = fetched.rows.iter().map(|row| row.row_ref);
    Outcome {
        acknowledged: Vec::new(),
        refused: vec![Refusal {
            row_ref: row_refs.next().unwrap(),
            attempts: 1,
            retry_after: Duration::ZERO,
            reason: "refused".to_owned(),
        }],
        held: row_refs.collect(),
    }
}

/// Numbers of rows in the log and in the deferred table.
async fn rows(shop: &super::Shop) -> (i64, i64) {
    let (log, deferred) = (
        "SELECT count(*) FROM outbox",
        "SELECT count(*) FROM outbox_deferred",
    );
    (shop.count(log).await, shop.count(deferred).await)
}

/// As a record that only deletes.
#[tokio::test]
async fn moves_that_meet_a_takeover_wait_for_it_and_are_refused() {
    let Some(shop) = shop().await else { return };
    let old = shop.outbox.lease("old", LEASE).await.unwrap();
    shop.commit(&[message("a", 0), message("a", 1)]).await;
    let outcome = moves(&fetched(&shop.outbox, &old).await);
    let mut takeover = shop.pool().begin().await.unwrap();
    let take = "UPDATE outbox_shards SET owner = 'new', fence = fence + 1";
    takeover.execute(take).await.unwrap();
    let (recorded, ()) = tokio::join!(shop.outbox.record(&old, &outcome), async {
        shop.until_blocked(1).await;
        takeover.commit().await.unwrap();
    });
    assert!(matches!(recorded, Err(Error::Fenced)), "{recorded:?}");
    assert_eq!(rows(&shop).await, (2, 0));
}

/// A relay that does not know the outcome of its record repeats it, and the first one may still run.
#[tokio::test]
async fn moves_that_are_written_twice_at_once_are_made_once() {
    let Some(shop) = shop().await else { return };
    let leases = shop.outbox.lease("relay", LEASE).await.unwrap();
    shop.commit(&[message("a", 0), message("a", 1)]).await;
    let outcome = moves(&fetched(&shop.outbox, &leases).await);
    // Keeps the first one from completing until the second one has begun.
    let mut in_the_way = shop.pool().begin().await.unwrap();
    in_the_way
        .execute("SELECT FROM outbox FOR UPDATE")
        .await
        .unwrap();
    let (first, second, ()) = tokio::join!(
        shop.outbox.record(&leases, &outcome),
        async {
            shop.until_blocked(1).await;
            shop.outbox.record(&leases, &outcome).await
        },
        async {
            shop.until_blocked(2).await;
            in_the_way.commit().await.unwrap();
        }
    );
    first.unwrap();
    second.unwrap();
    assert_eq!(rows(&shop).await, (0, 2));
}

/// As a record that only deletes.
#[tokio::test]
async fn a_former_owner_blocks_no_key() {
    let Some(shop) = shop().await else { return };
    let old = shop.outbox.lease("old", Duration::ZERO).await.unwrap();
    shop.commit(&[message("a", 0), message("a", 1)]).await;
    let outcome = moves(&fetched(&shop.outbox, &old).await);
    shop.outbox.lease("new", LEASE).await.unwrap();
    let recorded = shop.outbox.record(&old, &outcome).await;
    assert!(matches!(recorded, Err(Error::Fenced)), "{recorded:?}");
    assert_eq!(rows(&shop).await, (2, 0));
}

#[tokio::test]
async fn a_lock_that_does_not_come_is_a_conflict_to_be_tried_again() {
    let Some(shop) = shop().await else { return };
    let running = Running::start_as(&shop.outbox, |relay| relay.lease(LEASE));
    until("it runs", async || running.relay.status().shards == 1).await;
    let mut in_the_way = shop.pool().begin().await.unwrap();
    let lock = "SELECT FROM outbox_shards FOR UPDATE";
    in_the_way.execute(lock).await.unwrap();
    shop.commit(&[message("a", 0)]).await;
    shop.until_blocked(1).await;
    // After the lock timeout, it waits again.
    shop.until_blocked(0).await;
    shop.until_blocked(1).await;
    in_the_way.commit().await.unwrap();
    shop.until_drained().await;
    assert_eq!(running.tape.ids(), ["a-0"], "published more than once");
    running.stop().await;
}

/// Relays divide shards one after the other. A relay that waits for that in vain keeps its connection.
#[tokio::test]
async fn a_lease_that_waits_in_vain_costs_no_connection() {
    let Some(shop) = shop().await else { return };
    let database = Database::builder(shop.server.url()).max_connections(1);
    let database = database.open().await.unwrap();
    let outbox = PostgresOutbox::builder(&database).open().await.unwrap();
    // As a relay that is suspended inside its transaction.
    let mut in_the_way = shop.pool().begin().await.unwrap();
    let turn = "SELECT pg_advisory_xact_lock(hashtextextended('mainstay outbox_relays', 0))";
    in_the_way.execute(turn).await.unwrap();
    let outcome = outbox.lease("waiting", LEASE).await;
    assert!(
        matches!(
            outcome,
            Err(Error::Database(mainstay_database::Error::Conflict(_)))
        ),
        "{outcome:?}"
    );
    in_the_way.rollback().await.unwrap();
    assert_eq!(outbox.lease("waiting", LEASE).await.unwrap().len(), 1);
}

/// A relay that is suspended inside a transaction holds locks that a takeover waits for, even after its
/// lease has ended.
#[tokio::test]
async fn the_server_ends_an_idle_transaction_of_a_relay() {
    let Some(shop) = shop().await else { return };
    shop.run(
        "CREATE TABLE seen (millis BIGINT);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           INSERT INTO seen SELECT setting::bigint FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout';
           RETURN NULL; END $$;
         CREATE TRIGGER see AFTER INSERT OR UPDATE ON outbox_relays EXECUTE FUNCTION see();
         CREATE TRIGGER see AFTER DELETE ON outbox EXECUTE FUNCTION see();",
    )
    .await;
    let leases = shop.outbox.lease("one", LEASE).await.unwrap();
    shop.commit(&[message("a", 0)]).await;
    let outcome = acknowledged(&fetched(&shop.outbox, &leases).await);
    shop.outbox.record(&leases, &outcome).await.unwrap();
    assert!(shop.count("SELECT count(*) FROM seen").await >= 2);
    assert_eq!(shop.count("SELECT min(millis) FROM seen").await, 5_000);
    assert_eq!(shop.count("SELECT max(millis) FROM seen").await, 5_000);
}

/// A node whose wall clock is wrong.
#[derive(Debug)]
struct Off {
    clock: SystemClock,
    ahead: bool,
}

impl Clock for Off {
    fn now(&self) -> SystemTime {
        let hour = Duration::from_secs(3600);
        if self.ahead {
            self.clock.now() + hour
        } else {
            self.clock.now() - hour
        }
    }

    fn monotonic(&self) -> Monotonic {
        self.clock.monotonic()
    }

    fn boot_id(&self) -> BootId {
        BootId::new(if self.ahead { "ahead" } else { "behind" })
    }
}

#[tokio::test]
async fn only_the_servers_clock_decides() {
    let off = |ahead| -> Arc<dyn Clock> {
        Arc::new(Off {
            clock: SystemClock::new(),
            ahead,
        })
    };
    let Some(shop) = shop().await else { return };
    let ahead = shop.other_process().await;
    // For the node that is ahead, the lease of the node that is behind has not ended.
    let behind = shop.outbox.lease("behind", LEASE).await.unwrap();
    assert_eq!(behind.len(), 1);
    assert!(ahead.lease("ahead", LEASE).await.unwrap().is_empty());
    let now = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let left: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "SELECT max(lease_until) - {now} FROM outbox_relays"
    )))
    .fetch_one(shop.pool())
    .await
    .unwrap();
    assert!((0..=60_000_000).contains(&left), "{left}");
    shop.outbox.release("behind").await.unwrap();
    ahead.release("ahead").await.unwrap();
    // A refused message is retried after the backoff.
    for (outbox, clock, key) in [(&ahead, off(true), "a"), (&shop.outbox, off(false), "b")] {
        let running = Running::start_as(outbox, |relay| relay.clock(clock));
        running.tape.refuse(&format!("{key}-0"));
        shop.commit(&[message(key, 0), message(key, 1)]).await;
        until("it is tried often", async || running.tape.refusals() > 3).await;
        running.tape.accept();
        shop.until_drained().await;
        assert_eq!(running.tape.ids().len(), 2);
        running.stop().await;
    }
}

/// Leases wait for the disk even if the server's setting is not to. Acknowledgements never wait for it.
#[tokio::test]
async fn leases_are_on_disk_and_acknowledgements_need_not_be() {
    let Some(shop) = shop().await else { return };
    shop.run(
        "CREATE TABLE seen (what TEXT, setting TEXT);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN INSERT INTO seen VALUES (TG_TABLE_NAME, current_setting('synchronous_commit')); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER see AFTER INSERT OR UPDATE ON outbox_relays DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION see();
         CREATE CONSTRAINT TRIGGER see AFTER UPDATE ON outbox_shards DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION see();
         CREATE CONSTRAINT TRIGGER see AFTER DELETE ON outbox DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION see();",
    )
    .await;
    let seen = "SELECT string_agg(DISTINCT what || ' ' || setting, ', ' ORDER BY what || ' ' || setting) FROM seen";
    for (server, expected) in [
        ("off", "outbox off, outbox_relays on, outbox_shards on"),
        (
            "local",
            "outbox off, outbox_relays local, outbox_shards local",
        ),
    ] {
        let alter = format!(
            "ALTER DATABASE {} SET synchronous_commit = {server}; TRUNCATE seen",
            shop.server.name()
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(alter))
            .execute(shop.pool())
            .await
            .unwrap();
        // New sessions, because the setting is read at login.
        let outbox = shop.other_process().await;
        let leases = tokio::time::timeout(PATIENCE, outbox.lease(server, LEASE))
            .await
            .unwrap()
            .unwrap();
        shop.commit(&[message("a", 0)]).await;
        let outcome = acknowledged(&fetched(&outbox, &leases).await);
        outbox.record(&leases, &outcome).await.unwrap();
        outbox.release(server).await.unwrap();
        let seen: String = sqlx::query_scalar(seen)
            .fetch_one(shop.pool())
            .await
            .unwrap();
        assert_eq!(seen, expected);
    }
}
