//! Blocked keys: a table of marks, and a row while a key has parked ones.

use super::Stage;

const TABLES: &str = "CREATE TABLE mark (id int PRIMARY KEY, k text, state text);
    CREATE TABLE stopped (k text PRIMARY KEY, draining bool NOT NULL DEFAULT false);";

/// As `TABLES`, and message 1 is parked.
const PARKED: &str = "CREATE TABLE mark (id int PRIMARY KEY, k text, state text);
    CREATE TABLE stopped (k text PRIMARY KEY, draining bool NOT NULL DEFAULT false);
    INSERT INTO mark VALUES (1, 'K', 'parked'); INSERT INTO stopped VALUES ('K');";

/// The same, and it was discarded: the key is to be handed back.
const EMPTY: &str = "CREATE TABLE mark (id int PRIMARY KEY, k text, state text);
    CREATE TABLE stopped (k text PRIMARY KEY, draining bool NOT NULL DEFAULT false);
    INSERT INTO mark VALUES (1, 'K', 'discarded'); INSERT INTO stopped VALUES ('K');";

const PARK_1: &str = "WITH m AS (
      INSERT INTO mark VALUES (1, 'K', 'parked') ON CONFLICT DO NOTHING RETURNING k)
    INSERT INTO stopped SELECT k FROM m ON CONFLICT (k) DO UPDATE SET draining = stopped.draining";

/// Admission: locks the stopped-key row, writes marks, tells the new ones.
macro_rules! admit {
    ($rows:literal) => {
        concat!(
            "WITH s AS MATERIALIZED (SELECT k FROM stopped WHERE k = 'K' FOR KEY SHARE)
             INSERT INTO mark SELECT r.id, 'K', CASE WHEN EXISTS (SELECT FROM s) THEN 'parked' ELSE 'done' END
             FROM (VALUES ",
            $rows,
            ") r(id) ORDER BY id ON CONFLICT DO NOTHING RETURNING id || ' ' || state"
        )
    };
}

const LOCK: &str = "SELECT 'locked' FROM stopped WHERE k = 'K' FOR UPDATE";

const HAND_BACK: &str = "DELETE FROM stopped WHERE k = 'K'
    AND NOT EXISTS (SELECT FROM mark WHERE k = stopped.k AND state = 'parked') RETURNING 'handed back'";

const STATE: &str = "SELECT id || ' ' || state FROM mark
    UNION ALL SELECT 'stopped' FROM stopped ORDER BY 1";

#[tokio::test]
async fn a_batch_behind_an_uncommitted_park_is_decided_by_its_second_statement_only() {
    let Some(mut stage) = Stage::set(TABLES).await else {
        return;
    };
    let (mut parking, mut batch) = (stage.session().await, stage.session().await);
    parking.hears("BEGIN").await;
    parking.hears(PARK_1).await;
    batch.hears("BEGIN").await;
    let admitting = stage.waits(batch, admit!("(1), (2)")).await;
    parking.hears("COMMIT").await;
    let (mut batch, admitted) = admitting.await.unwrap();
    assert_eq!(
        admitted.unwrap(),
        ["2 done"],
        "in one snapshot it overtakes"
    );
    let again = "UPDATE mark SET state = 'parked' WHERE id = 2
        AND EXISTS (SELECT FROM stopped s WHERE s.k = mark.k FOR KEY SHARE) RETURNING id || ' ' || state";
    assert_eq!(batch.hears(again).await, ["2 parked"]);
}

#[tokio::test]
async fn an_admission_waits_for_a_hand_back_and_finds_no_row() {
    let Some(mut stage) = Stage::set(EMPTY).await else {
        return;
    };
    let (mut desk, follower) = (stage.session().await, stage.session().await);
    desk.hears("BEGIN").await;
    desk.hears(LOCK).await;
    assert_eq!(desk.hears(HAND_BACK).await, ["handed back"]);
    let admitting = stage.waits(follower, admit!("(2)")).await;
    desk.hears("COMMIT").await;
    let (_, admitted) = admitting.await.unwrap();
    assert_eq!(admitted.unwrap(), ["2 done"]);
}

#[tokio::test]
async fn a_hand_back_in_one_statement_forgets_a_follower() {
    let Some(mut stage) = Stage::set(EMPTY).await else {
        return;
    };
    let (desk, mut follower) = (stage.session().await, stage.session().await);
    follower.hears("BEGIN").await;
    assert_eq!(follower.hears(admit!("(2)")).await, ["2 parked"]);
    let deleting = stage.waits(desk, HAND_BACK).await;
    follower.hears("COMMIT").await;
    let (_, deleted) = deleting.await.unwrap();
    assert_eq!(deleted.unwrap(), ["handed back"]);
    assert_eq!(stage.hears(STATE).await, ["1 discarded", "2 parked"]);
}

#[tokio::test]
async fn a_hand_back_that_locks_and_then_looks_depends_on_the_isolation() {
    for (isolation, handed_back) in [
        ("BEGIN ISOLATION LEVEL READ COMMITTED", Ok(vec![])),
        (
            "BEGIN ISOLATION LEVEL REPEATABLE READ",
            Ok(vec!["handed back".to_owned()]),
        ),
        (
            "BEGIN ISOLATION LEVEL SERIALIZABLE",
            Err("40001".to_owned()),
        ),
    ] {
        let Some(mut stage) = Stage::set(EMPTY).await else {
            return;
        };
        let (mut desk, mut follower) = (stage.session().await, stage.session().await);
        follower.hears(isolation).await;
        follower.hears(admit!("(2)")).await;
        desk.hears(isolation).await;
        let locking = stage.waits(desk, LOCK).await;
        follower.hears("COMMIT").await;
        let (mut desk, locked) = locking.await.unwrap();
        let mut answer = locked;
        if answer.is_ok() {
            answer = desk.says(HAND_BACK).await;
        }
        if answer.is_ok()
            && let Err(refused) = desk.says("COMMIT").await
        {
            answer = Err(refused);
        }
        assert_eq!(answer, handed_back, "{isolation}");
    }
}

#[tokio::test]
async fn a_park_onto_a_row_waits_for_its_hand_back_only_if_it_updates_it() {
    let Some(mut stage) = Stage::set(EMPTY).await else {
        return;
    };
    let (mut desk, mut parking) = (stage.session().await, stage.session().await);
    desk.hears("BEGIN").await;
    desk.hears(LOCK).await;
    parking.hears("BEGIN").await;
    let insert = "INSERT INTO stopped VALUES ('K') ON CONFLICT DO NOTHING RETURNING 'new'";
    assert!(
        parking.hears(insert).await.is_empty(),
        "it did not wait, and thinks that it is there"
    );
    let insert = "INSERT INTO stopped VALUES ('K')
        ON CONFLICT (k) DO UPDATE SET draining = stopped.draining RETURNING 'there'";
    let inserting = stage.waits(parking, insert).await;
    assert_eq!(desk.hears(HAND_BACK).await, ["handed back"]);
    desk.hears("COMMIT").await;
    let (mut parking, inserted) = inserting.await.unwrap();
    assert_eq!(inserted.unwrap(), ["there"]);
    parking.hears("COMMIT").await;
    assert_eq!(stage.hears(STATE).await, ["1 discarded", "stopped"]);
}

#[tokio::test]
async fn a_hand_back_in_the_transaction_of_a_replay_deadlocks_with_a_redelivery() {
    let Some(mut stage) = Stage::set(PARKED).await else {
        return;
    };
    let (mut desk, mut batch) = (stage.session().await, stage.session().await);
    desk.hears("BEGIN").await;
    desk.hears("UPDATE mark SET state = 'done' WHERE id = 1")
        .await;
    batch.hears("BEGIN").await;
    let admitting = stage.waits(batch, admit!("(1), (2)")).await;
    let locked = desk.says(LOCK).await;
    let deadlock = Err("40P01".to_owned());
    if locked == deadlock {
        return;
    }
    let (_, admitted) = admitting.await.unwrap();
    assert_eq!(admitted, deadlock);
}

#[tokio::test]
async fn the_head_is_taken_in_turn_and_skip_locked_takes_the_next() {
    let Some(mut stage) = Stage::set(PARKED).await else {
        return;
    };
    stage.hears(admit!("(2)")).await;
    let (mut one, mut other, third) = (
        stage.session().await,
        stage.session().await,
        stage.session().await,
    );
    let take = "UPDATE mark SET state = 'done' WHERE state = 'parked' AND id =
        (SELECT id FROM mark WHERE k = 'K' AND state = 'parked' ORDER BY id LIMIT 1 FOR UPDATE) RETURNING id::text";
    let skip = "SELECT id::text FROM mark WHERE k = 'K' AND state = 'parked' ORDER BY id LIMIT 1
        FOR UPDATE SKIP LOCKED";
    one.hears("BEGIN").await;
    assert_eq!(one.hears(take).await, ["1"]);
    assert_eq!(other.hears(skip).await, ["2"], "it overtakes");
    let taking = stage.waits(third, take).await;
    one.hears("COMMIT").await;
    let (_, taken) = taking.await.unwrap();
    assert_eq!(taken.unwrap(), ["2"]);
}

#[tokio::test]
async fn a_lock_that_nobody_reads_is_not_taken() {
    let Some(mut stage) = Stage::set(PARKED).await else {
        return;
    };
    let mut follower = stage.session().await;
    follower.hears("BEGIN").await;
    let unread = "WITH s AS (SELECT FROM stopped WHERE k = 'K' FOR KEY SHARE)
        INSERT INTO mark VALUES (2, 'K', 'parked')";
    follower.hears(unread).await;
    let lock = "SELECT 'locked' FROM stopped FOR UPDATE NOWAIT";
    assert_eq!(stage.hears(lock).await, ["locked"]);
    follower.hears("ROLLBACK; BEGIN").await;
    follower.hears(admit!("(2)")).await;
    assert_eq!(stage.observer.says(lock).await, Err("55P03".to_owned()));
}

#[tokio::test]
async fn an_admission_at_repeatable_read_fails_rather_than_errs() {
    let Some(mut stage) = Stage::set(TABLES).await else {
        return;
    };
    let (mut parking, mut batch) = (stage.session().await, stage.session().await);
    parking.hears("BEGIN").await;
    parking.hears(PARK_1).await;
    batch
        .hears("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'a snapshot'")
        .await;
    let admitting = stage.waits(batch, admit!("(1), (2)")).await;
    parking.hears("COMMIT").await;
    let (_, admitted) = admitting.await.unwrap();
    assert_eq!(admitted, Err("40001".to_owned()));
}

/// Followers share the row with each other and with who updates it; a hand-back waits, and they pass it.
#[tokio::test]
async fn followers_and_updates_pass_a_hand_back_that_waits() {
    let Some(mut stage) = Stage::set(PARKED).await else {
        return;
    };
    let (mut follower, desk) = (stage.session().await, stage.session().await);
    follower.hears("BEGIN").await;
    follower.hears(admit!("(2)")).await;
    let locking = stage.waits(desk, LOCK).await;
    let mut next = stage.session().await;
    next.hears("BEGIN; SET LOCAL lock_timeout = '30s'").await;
    assert_eq!(next.hears(admit!("(3)")).await, ["3 parked"]);
    let drain = "UPDATE stopped SET draining = true WHERE k = 'K' RETURNING 'draining'";
    let mut replay = stage.session().await;
    replay.hears("SET lock_timeout = '30s'").await;
    assert_eq!(replay.hears(drain).await, ["draining"]);
    assert!(!locking.is_finished());
    next.hears("COMMIT").await;
    follower.hears("COMMIT").await;
    let (_, locked) = locking.await.unwrap();
    assert_eq!(locked.unwrap(), ["locked"]);
}
