//! An append-only log with a sequence, snapshots, partitions that are truncated.

use std::time::Duration;

use mainstay_testkit::postgres::PrivateServer;

use super::{Scene, Session};

const TABLES: &str = "CREATE SEQUENCE position CACHE 1;
    CREATE TABLE log (position bigint, slot int) PARTITION BY LIST (slot);
    CREATE TABLE log0 PARTITION OF log FOR VALUES IN (0);";

/// Stops right after the draw of a position, while another session holds the advisory lock 1.
const ENQUEUE: &str = "INSERT INTO log SELECT x.p, 0
    FROM (SELECT nextval('position') p, pg_advisory_xact_lock_shared(1) OFFSET 0) x";

const HELD: &str = "SELECT relation::regclass::text FROM pg_locks
    WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND mode = 'RowExclusiveLock' AND relation IN ('log'::regclass, 'log0'::regclass) ORDER BY 1";

#[tokio::test]
async fn the_lock_on_the_parent_comes_before_the_draw_and_that_on_a_partition_behind_it() {
    let Some(mut scene) = Scene::set(TABLES).await else {
        return;
    };
    let mut gate = scene.session().await;
    gate.run("SELECT pg_advisory_lock(1)").await;
    let writer = scene.session().await;
    let writing = scene.waits(writer, ENQUEUE).await;
    let drawn = "SELECT last_value::text FROM position WHERE is_called";
    assert_eq!(scene.run(drawn).await, ["1"]);
    assert_eq!(scene.run(HELD).await, ["log"]);
    gate.run("SELECT pg_advisory_unlock(1)").await;
    let (mut writer, written) = writing.await.unwrap();
    written.unwrap();
    writer.run("BEGIN; INSERT INTO log VALUES (2, 0)").await;
    assert_eq!(scene.run(HELD).await, ["log", "log0"]);
    writer
        .run("ROLLBACK; BEGIN; SELECT nextval('position')")
        .await;
    assert!(
        scene.run(HELD).await.is_empty(),
        "drawn apart from the insert nothing is locked"
    );
}

/// The position that a prepared statement draws is as safe.
#[tokio::test]
async fn a_prepared_insert_locks_before_it_draws_too() {
    let Some(mut scene) = Scene::set(TABLES).await else {
        return;
    };
    let mut gate = scene.session().await;
    let mut writer = scene.session().await;
    writer
        .run(
            "PREPARE enqueue AS INSERT INTO log SELECT x.p, 0
        FROM (SELECT nextval('position') p, pg_advisory_xact_lock_shared(1) OFFSET 0) x",
        )
        .await;
    gate.run("SELECT pg_advisory_lock(1)").await;
    let writing = scene.waits(writer, "EXECUTE enqueue").await;
    assert_eq!(scene.run(HELD).await, ["log"]);
    gate.run("SELECT pg_advisory_unlock(1)").await;
    let (_, written) = writing.await.unwrap();
    written.unwrap();
}

#[tokio::test]
async fn one_statement_checks_for_open_transactions_and_reads_in_the_same_snapshot() {
    // A transaction in any database of the server counts, so this case has a server of its own.
    let Some(server) = PrivateServer::for_suite("database").await.unwrap() else {
        return;
    };
    let mut scene = Scene::on(&server.server().unwrap(), TABLES).await;
    let mut writer = scene.session().await;
    writer
        .run("BEGIN; SELECT pg_current_xact_id(); INSERT INTO log VALUES (nextval('position'), 0)")
        .await;
    scene
        .run("CREATE TABLE mark AS SELECT pg_current_xact_id() AS id")
        .await;
    let check = "SELECT (pg_snapshot_xmin(pg_current_snapshot()) > id)::text || ' ' || (SELECT count(*) FROM log) FROM mark";
    assert_eq!(scene.run(check).await, ["false 0"]);
    writer.run("COMMIT").await;
    // The server's own vacuum may have one open for a moment.
    let settled = async {
        loop {
            let answer = scene.run(check).await;
            if answer == ["true 1"] {
                break;
            }
            assert_eq!(answer, ["false 1"]);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let patience = Duration::from_secs(60);
    assert!(tokio::time::timeout(patience, settled).await.is_ok());
}

#[tokio::test]
async fn a_truncated_partition_is_empty_to_older_snapshots_too() {
    let Some(mut scene) = Scene::set(TABLES).await else {
        return;
    };
    scene.run("INSERT INTO log VALUES (1, 0)").await;
    let mut reader = scene.session().await;
    reader
        .run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'a snapshot'")
        .await;
    scene.run("TRUNCATE log0").await;
    assert_eq!(rows(&mut reader).await, ["0"]);
}

#[tokio::test]
async fn a_truncation_must_check_the_partition_after_its_lock_in_a_new_snapshot() {
    let Some(mut scene) = Scene::set(TABLES).await else {
        return;
    };
    let (mut writer, mut pruner) = (scene.session().await, scene.session().await);
    writer.run("BEGIN; INSERT INTO log VALUES (1, 0)").await;
    pruner.run("BEGIN").await;
    assert_eq!(rows(&mut pruner).await, ["0"], "before the lock");
    let locking = scene
        .waits(pruner, "LOCK TABLE log0 IN ACCESS EXCLUSIVE MODE")
        .await;
    writer.run("COMMIT").await;
    let (mut pruner, locked) = locking.await.unwrap();
    locked.unwrap();
    let count = "SELECT count(*)::text FROM log0; ROLLBACK";
    assert_eq!(pruner.run(count).await, ["1"], "behind it");
    pruner
        .run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'a snapshot'")
        .await;
    writer.run("INSERT INTO log VALUES (2, 0)").await;
    pruner.run("LOCK TABLE log0 IN ACCESS EXCLUSIVE MODE").await;
    assert_eq!(
        pruner.run(count).await,
        ["1"],
        "a committed row that the snapshot does not show"
    );
}

async fn rows(session: &mut Session) -> Vec<String> {
    session.run("SELECT count(*)::text FROM log0").await
}
