//! Blocked keys: a table of processed records, and a row per key while it has held messages.

use super::Scene;

const TABLES: &str = "CREATE TABLE record (id int PRIMARY KEY, k text, state text);
    CREATE TABLE blocked (k text PRIMARY KEY, draining bool NOT NULL DEFAULT false);";

/// As `TABLES`, with message 1 held.
const HELD: &str = "CREATE TABLE record (id int PRIMARY KEY, k text, state text);
    CREATE TABLE blocked (k text PRIMARY KEY, draining bool NOT NULL DEFAULT false);
    INSERT INTO record VALUES (1, 'K', 'held'); INSERT INTO blocked VALUES ('K');";

/// The same, with message 1 discarded: its key is to be released.
const EMPTY: &str = "CREATE TABLE record (id int PRIMARY KEY, k text, state text);
    CREATE TABLE blocked (k text PRIMARY KEY, draining bool NOT NULL DEFAULT false);
    INSERT INTO record VALUES (1, 'K', 'discarded'); INSERT INTO blocked VALUES ('K');";

const HOLD_1: &str = "WITH m AS (
      INSERT INTO record VALUES (1, 'K', 'held') ON CONFLICT DO NOTHING RETURNING k)
    INSERT INTO blocked SELECT k FROM m ON CONFLICT (k) DO UPDATE SET draining = blocked.draining";

/// Admission: locks the row of the blocked key, writes records, returns the new ones.
macro_rules! admit {
    ($rows:literal) => {
        concat!(
            "WITH s AS MATERIALIZED (SELECT k FROM blocked WHERE k = 'K' FOR KEY SHARE)
             INSERT INTO record SELECT r.id, 'K', CASE WHEN EXISTS (SELECT FROM s) THEN 'held' ELSE 'done' END
             FROM (VALUES ",
            $rows,
            ") r(id) ORDER BY id ON CONFLICT DO NOTHING RETURNING id || ' ' || state"
        )
    };
}

const LOCK: &str = "SELECT 'locked' FROM blocked WHERE k = 'K' FOR UPDATE";

const RELEASE: &str = "DELETE FROM blocked WHERE k = 'K'
    AND NOT EXISTS (SELECT FROM record WHERE k = blocked.k AND state = 'held') RETURNING 'released'";

const STATE: &str = "SELECT id || ' ' || state FROM record
    UNION ALL SELECT 'blocked' FROM blocked ORDER BY 1";

#[tokio::test]
async fn a_batch_behind_an_uncommitted_dead_letter_is_decided_by_its_second_statement_only() {
    let Some(mut scene) = Scene::set(TABLES).await else {
        return;
    };
    let (mut failing, mut batch) = (scene.session().await, scene.session().await);
    failing.run("BEGIN").await;
    failing.run(HOLD_1).await;
    batch.run("BEGIN").await;
    let admitting = scene.waits(batch, admit!("(1), (2)")).await;
    failing.run("COMMIT").await;
    let (mut batch, admitted) = admitting.await.unwrap();
    assert_eq!(
        admitted.unwrap(),
        ["2 done"],
        "in one snapshot it overtakes"
    );
    let again = "UPDATE record SET state = 'held' WHERE id = 2
        AND EXISTS (SELECT FROM blocked s WHERE s.k = record.k FOR KEY SHARE) RETURNING id || ' ' || state";
    assert_eq!(batch.run(again).await, ["2 held"]);
}

#[tokio::test]
async fn an_admission_waits_for_a_release_and_finds_no_row() {
    let Some(mut scene) = Scene::set(EMPTY).await else {
        return;
    };
    let (mut operator, later) = (scene.session().await, scene.session().await);
    operator.run("BEGIN").await;
    operator.run(LOCK).await;
    assert_eq!(operator.run(RELEASE).await, ["released"]);
    let admitting = scene.waits(later, admit!("(2)")).await;
    operator.run("COMMIT").await;
    let (_, admitted) = admitting.await.unwrap();
    assert_eq!(admitted.unwrap(), ["2 done"]);
}

#[tokio::test]
async fn a_release_in_one_statement_misses_a_held_message() {
    let Some(mut scene) = Scene::set(EMPTY).await else {
        return;
    };
    let (operator, mut later) = (scene.session().await, scene.session().await);
    later.run("BEGIN").await;
    assert_eq!(later.run(admit!("(2)")).await, ["2 held"]);
    let deleting = scene.waits(operator, RELEASE).await;
    later.run("COMMIT").await;
    let (_, deleted) = deleting.await.unwrap();
    assert_eq!(deleted.unwrap(), ["released"]);
    assert_eq!(scene.run(STATE).await, ["1 discarded", "2 held"]);
}

#[tokio::test]
async fn a_release_that_locks_and_then_reads_depends_on_the_isolation() {
    for (isolation, expected) in [
        ("BEGIN ISOLATION LEVEL READ COMMITTED", Ok(vec![])),
        (
            "BEGIN ISOLATION LEVEL REPEATABLE READ",
            Ok(vec!["released".to_owned()]),
        ),
        (
            "BEGIN ISOLATION LEVEL SERIALIZABLE",
            Err("40001".to_owned()),
        ),
    ] {
        let Some(mut scene) = Scene::set(EMPTY).await else {
            return;
        };
        let (mut operator, mut later) = (scene.session().await, scene.session().await);
        later.run(isolation).await;
        later.run(admit!("(2)")).await;
        operator.run(isolation).await;
        let locking = scene.waits(operator, LOCK).await;
        later.run("COMMIT").await;
        let (mut operator, locked) = locking.await.unwrap();
        let mut answer = locked;
        if answer.is_ok() {
            answer = operator.try_run(RELEASE).await;
        }
        if answer.is_ok()
            && let Err(refused) = operator.try_run("COMMIT").await
        {
            answer = Err(refused);
        }
        assert_eq!(answer, expected, "{isolation}");
    }
}

#[tokio::test]
async fn a_dead_letter_of_a_blocked_key_waits_for_its_release_only_if_it_updates_the_row() {
    let Some(mut scene) = Scene::set(EMPTY).await else {
        return;
    };
    let (mut operator, mut failing) = (scene.session().await, scene.session().await);
    operator.run("BEGIN").await;
    operator.run(LOCK).await;
    failing.run("BEGIN").await;
    let insert = "INSERT INTO blocked VALUES ('K') ON CONFLICT DO NOTHING RETURNING 'new'";
    assert!(
        failing.run(insert).await.is_empty(),
        "it did not wait, and thinks that it is there"
    );
    let insert = "INSERT INTO blocked VALUES ('K')
        ON CONFLICT (k) DO UPDATE SET draining = blocked.draining RETURNING 'there'";
    let inserting = scene.waits(failing, insert).await;
    assert_eq!(operator.run(RELEASE).await, ["released"]);
    operator.run("COMMIT").await;
    let (mut failing, inserted) = inserting.await.unwrap();
    assert_eq!(inserted.unwrap(), ["there"]);
    failing.run("COMMIT").await;
    assert_eq!(scene.run(STATE).await, ["1 discarded", "blocked"]);
}

#[tokio::test]
async fn a_release_in_the_transaction_of_a_replay_deadlocks_with_a_redelivery() {
    let Some(mut scene) = Scene::set(HELD).await else {
        return;
    };
    let (mut operator, mut batch) = (scene.session().await, scene.session().await);
    operator.run("BEGIN").await;
    operator
        .run("UPDATE record SET state = 'done' WHERE id = 1")
        .await;
    batch.run("BEGIN").await;
    let admitting = scene.waits(batch, admit!("(1), (2)")).await;
    let locked = operator.try_run(LOCK).await;
    let deadlock = Err("40P01".to_owned());
    if locked == deadlock {
        return;
    }
    let (_, admitted) = admitting.await.unwrap();
    assert_eq!(admitted, deadlock);
}

#[tokio::test]
async fn the_head_is_taken_in_turn_and_skip_locked_takes_the_next() {
    let Some(mut scene) = Scene::set(HELD).await else {
        return;
    };
    scene.run(admit!("(2)")).await;
    let (mut one, mut other, third) = (
        scene.session().await,
        scene.session().await,
        scene.session().await,
    );
    let take = "UPDATE record SET state = 'done' WHERE state = 'held' AND id =
        (SELECT id FROM record WHERE k = 'K' AND state = 'held' ORDER BY id LIMIT 1 FOR UPDATE) RETURNING id::text";
    let skip = "SELECT id::text FROM record WHERE k = 'K' AND state = 'held' ORDER BY id LIMIT 1
        FOR UPDATE SKIP LOCKED";
    one.run("BEGIN").await;
    assert_eq!(one.run(take).await, ["1"]);
    assert_eq!(other.run(skip).await, ["2"], "it overtakes");
    let taking = scene.waits(third, take).await;
    one.run("COMMIT").await;
    let (_, taken) = taking.await.unwrap();
    assert_eq!(taken.unwrap(), ["2"]);
}

#[tokio::test]
async fn a_lock_that_is_not_read_is_not_taken() {
    let Some(mut scene) = Scene::set(HELD).await else {
        return;
    };
    let mut later = scene.session().await;
    later.run("BEGIN").await;
    let unread = "WITH s AS (SELECT FROM blocked WHERE k = 'K' FOR KEY SHARE)
        INSERT INTO record VALUES (2, 'K', 'held')";
    later.run(unread).await;
    let lock = "SELECT 'locked' FROM blocked FOR UPDATE NOWAIT";
    assert_eq!(scene.run(lock).await, ["locked"]);
    later.run("ROLLBACK; BEGIN").await;
    later.run(admit!("(2)")).await;
    assert_eq!(scene.observer.try_run(lock).await, Err("55P03".to_owned()));
}

#[tokio::test]
async fn an_admission_at_repeatable_read_fails_instead_of_erring() {
    let Some(mut scene) = Scene::set(TABLES).await else {
        return;
    };
    let (mut failing, mut batch) = (scene.session().await, scene.session().await);
    failing.run("BEGIN").await;
    failing.run(HOLD_1).await;
    batch
        .run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'a snapshot'")
        .await;
    let admitting = scene.waits(batch, admit!("(1), (2)")).await;
    failing.run("COMMIT").await;
    let (_, admitted) = admitting.await.unwrap();
    assert_eq!(admitted, Err("40001".to_owned()));
}

/// Held messages share the row with each other and with updates of it. They pass a release that
/// waits.
#[tokio::test]
async fn held_messages_and_updates_pass_a_release_that_waits() {
    let Some(mut scene) = Scene::set(HELD).await else {
        return;
    };
    let (mut later, operator) = (scene.session().await, scene.session().await);
    later.run("BEGIN").await;
    later.run(admit!("(2)")).await;
    let locking = scene.waits(operator, LOCK).await;
    let mut next = scene.session().await;
    next.run("BEGIN; SET LOCAL lock_timeout = '30s'").await;
    assert_eq!(next.run(admit!("(3)")).await, ["3 held"]);
    let drain = "UPDATE blocked SET draining = true WHERE k = 'K' RETURNING 'draining'";
    let mut replay = scene.session().await;
    replay.run("SET lock_timeout = '30s'").await;
    assert_eq!(replay.run(drain).await, ["draining"]);
    assert!(!locking.is_finished());
    next.run("COMMIT").await;
    later.run("COMMIT").await;
    let (_, locked) = locking.await.unwrap();
    assert_eq!(locked.unwrap(), ["locked"]);
}
