//! Row locks, queues, deadlocks and lock timeouts.

use super::*;

#[tokio::test(start_paused = true)]
async fn key_share_lets_updates_pass_and_holds_deletes() {
    let database = with(&[10]).await;
    let mut sharer = database.begin().await.unwrap();
    let locked = lock(&mut sharer, 1, Strength::KeyShare).await.unwrap();
    assert_eq!(locked, Locked::Row(Row { id: 1, value: 10 }));
    let mut updater = database.begin().await.unwrap();
    assert!(add(&mut updater, 1, 1).await.unwrap(), "it does not wait");
    database.commit(updater).await.unwrap();
    let deleter = database.begin().await.unwrap();
    let deleter = start!(deleter => delete(&mut deleter, 1));
    assert!(
        !deleter.is_finished(),
        "the lock is on the row, not on a version"
    );
    database.commit(sharer).await.unwrap();
    assert!(answer(deleter).await.1.unwrap());
}

#[tokio::test(start_paused = true)]
async fn share_locks_share_and_hold_updates() {
    let database = with(&[10]).await;
    let mut sharers = Vec::new();
    for _ in 0..3 {
        let mut sharer = database.begin().await.unwrap();
        assert!(
            lock(&mut sharer, 1, Strength::Share)
                .await
                .unwrap()
                .row()
                .is_some()
        );
        sharers.push(sharer);
    }
    let updater = database.begin().await.unwrap();
    let updater = start!(updater => add(&mut updater, 1, 1));
    for sharer in sharers {
        assert!(!updater.is_finished());
        drop(sharer);
        settle().await;
    }
    assert!(answer(updater).await.1.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_waited_for_reads_the_newest_version() {
    let database = with(&[10]).await;
    let mut writer = database.begin().await.unwrap();
    add(&mut writer, 1, 1).await.unwrap();
    let reader = database.begin().await.unwrap();
    let reader = start!(reader => lock(&mut reader, 1, Strength::Share));
    assert!(!reader.is_finished());
    database.commit(writer).await.unwrap();
    let locked = answer(reader).await.1.unwrap();
    assert_eq!(locked, Locked::Row(Row { id: 1, value: 11 }));
}

#[tokio::test(start_paused = true)]
async fn key_share_beside_an_update_in_progress_reads_what_is_committed() {
    let database = with(&[10]).await;
    let mut writer = database.begin().await.unwrap();
    add(&mut writer, 1, 1).await.unwrap();
    let mut reader = database.begin().await.unwrap();
    let locked = lock(&mut reader, 1, Strength::KeyShare).await.unwrap();
    assert_eq!(locked, Locked::Row(Row { id: 1, value: 10 }));
}

#[tokio::test(start_paused = true)]
async fn a_lock_whose_row_was_deleted_meanwhile_finds_nothing() {
    let database = with(&[10]).await;
    let mut deleter = database.begin().await.unwrap();
    delete(&mut deleter, 1).await.unwrap();
    let reader = database.begin().await.unwrap();
    let reader = start!(reader => lock(&mut reader, 1, Strength::KeyShare));
    assert!(!reader.is_finished());
    database.commit(deleter).await.unwrap();
    assert_eq!(answer(reader).await.1.unwrap(), Locked::Missing);
}

#[tokio::test(start_paused = true)]
async fn skip_locked_skips_a_locked_row() {
    let database = with(&[10, 20]).await;
    let mut holder = database.begin().await.unwrap();
    assert!(
        lock(&mut holder, 1, Strength::Update)
            .await
            .unwrap()
            .row()
            .is_some()
    );
    let mut other = database.begin().await.unwrap();
    let mut statement = other.statement().await.unwrap();
    let mut taken = Vec::new();
    for row in statement.scan::<Row>(..) {
        let locked = statement.lock::<Row>(&row.id, Strength::Update, Wait::SkipLocked);
        taken.push(patiently(locked).await.unwrap());
    }
    assert_eq!(
        taken,
        [Locked::Skipped, Locked::Row(Row { id: 2, value: 20 })]
    );
}

#[tokio::test(start_paused = true)]
async fn nowait_fails_on_a_locked_row_and_aborts() {
    let database = with(&[10]).await;
    let mut holder = database.begin().await.unwrap();
    add(&mut holder, 1, 1).await.unwrap();
    let mut other = database.begin().await.unwrap();
    let mut statement = other.statement().await.unwrap();
    let refused = statement
        .lock::<Row>(&1, Strength::Share, Wait::NoWait)
        .await;
    assert_conflict(refused, Cause::LockNotAvailable);
    drop(statement);
    assert_aborted(other.statement().await.map(drop));
}

#[tokio::test(start_paused = true)]
async fn waiters_are_served_in_the_order_they_came() {
    let database = with(&[10]).await;
    let mut holder = database.begin().await.unwrap();
    add(&mut holder, 1, 0).await.unwrap();
    let (served, mut order) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..5 {
        let (served, tx) = (served.clone(), database.begin().await.unwrap());
        let _running = start!(tx => async {
            let updated = add(&mut tx, 1, 1).await;
            served.send(number).unwrap();
            updated
        });
    }
    drop((holder, served));
    let mut got = Vec::new();
    while let Some(number) = order.recv().await {
        got.push(number);
    }
    assert_eq!(got, [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn key_sharers_pass_a_waiting_for_update() {
    let database = with(&[10]).await;
    let mut first = database.begin().await.unwrap();
    assert!(
        lock(&mut first, 1, Strength::KeyShare)
            .await
            .unwrap()
            .row()
            .is_some()
    );
    let exclusive = database.begin().await.unwrap();
    let exclusive = start!(exclusive => lock(&mut exclusive, 1, Strength::Update));
    let mut second = database.begin().await.unwrap();
    assert!(
        lock(&mut second, 1, Strength::KeyShare)
            .await
            .unwrap()
            .row()
            .is_some()
    );
    drop(first);
    settle().await;
    assert!(!exclusive.is_finished(), "it starves, as in PostgreSQL");
    drop(second);
    assert!(answer(exclusive).await.1.unwrap().row().is_some());
}

#[tokio::test(start_paused = true)]
async fn two_transactions_waiting_for_each_other_have_one_victim() {
    let database = with(&[10, 20]).await;
    let (mut first, mut second) = (
        database.begin().await.unwrap(),
        database.begin().await.unwrap(),
    );
    add(&mut first, 1, 1).await.unwrap();
    add(&mut second, 2, 1).await.unwrap();
    let first = start!(first => add(&mut first, 2, 1));
    assert!(!first.is_finished());
    assert_conflict(add(&mut second, 1, 1).await, Cause::Deadlock);
    // The victim's locks went at once, although its client has yet to roll back.
    let (first, updated) = answer(first).await;
    assert!(updated.unwrap());
    database.commit(first).await.unwrap();
    assert_aborted(database.commit(second).await);
    assert_eq!(committed(&database, 1).await, Some(11));
    assert_eq!(committed(&database, 2).await, Some(21));
}

#[tokio::test(start_paused = true)]
async fn a_deadlock_of_many_has_one_victim() {
    let database = with(&[0; 5]).await;
    let mut tasks = Vec::new();
    let mut all = Vec::new();
    for id in 1..=5 {
        let mut tx = database.begin().await.unwrap();
        add(&mut tx, id, 1).await.unwrap();
        all.push(tx);
    }
    for (id, tx) in (1..=5).zip(all) {
        tasks.push(start!(tx => add(&mut tx, id % 5 + 1, 10)));
    }
    let mut victims = 0;
    // The last one closed the circle; the others go on one after another as their predecessor ends.
    while let Some(task) = tasks.pop() {
        let (tx, updated) = answer(task).await;
        match updated {
            Ok(updated) => {
                assert!(updated);
                database.commit(tx).await.unwrap();
            }
            Err(_) => victims += 1,
        }
    }
    assert_eq!(victims, 1);
}

#[tokio::test(start_paused = true)]
async fn two_sharers_that_both_want_more_deadlock() {
    let database = with(&[10]).await;
    let (mut first, mut second) = (
        database.begin().await.unwrap(),
        database.begin().await.unwrap(),
    );
    for sharer in [&mut first, &mut second] {
        assert!(
            lock(sharer, 1, Strength::Share)
                .await
                .unwrap()
                .row()
                .is_some()
        );
    }
    let first = start!(first => add(&mut first, 1, 1));
    assert!(!first.is_finished());
    assert_conflict(add(&mut second, 1, 1).await, Cause::Deadlock);
    assert!(answer(first).await.1.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_wants_more_passes_those_who_wait() {
    let database = with(&[10]).await;
    let mut holder = database.begin().await.unwrap();
    assert!(
        lock(&mut holder, 1, Strength::KeyShare)
            .await
            .unwrap()
            .row()
            .is_some()
    );
    let waiter = database.begin().await.unwrap();
    let waiter = start!(waiter => delete(&mut waiter, 1));
    assert!(delete(&mut holder, 1).await.unwrap());
    database.commit(holder).await.unwrap();
    assert!(!answer(waiter).await.1.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_lock_timeout_is_a_conflict_and_lets_go_of_everything() {
    let database = with(&[10, 20]).await;
    let mut holder = database.begin().await.unwrap();
    add(&mut holder, 1, 1).await.unwrap();
    let mut hurried = database.begin().await.unwrap();
    hurried.set_lock_timeout(Some(Duration::from_millis(50)));
    add(&mut hurried, 2, 1).await.unwrap();
    let began = database.now();
    assert_conflict(add(&mut hurried, 1, 1).await, Cause::LockTimeout);
    assert_eq!(
        database.now().duration_since(began).unwrap(),
        Duration::from_millis(50)
    );
    assert_aborted(add(&mut hurried, 2, 1).await);
    assert!(add(&mut holder, 2, 1).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn every_lock_timeout_is_taken() {
    for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let database = with(&[10]).await;
        let mut holder = database.begin().await.unwrap();
        add(&mut holder, 1, 1).await.unwrap();
        let mut waiter = database.begin().await.unwrap();
        waiter.set_lock_timeout(Some(timeout));
        let waiter = start!(waiter => add(&mut waiter, 1, 1));
        tokio::time::sleep(Duration::from_secs(60 * 60 * 12)).await;
        drop(holder);
        match answer(waiter).await.1 {
            Ok(added) => assert!(added && timeout == Duration::MAX, "{timeout:?}"),
            failed => {
                assert_conflict(failed, Cause::LockTimeout);
                assert!(timeout < Duration::MAX);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_statement_dropped_while_it_waits_leaves_the_line_and_spoils_its_transaction() {
    let database = with(&[10, 20]).await;
    let mut holder = database.begin().await.unwrap();
    add(&mut holder, 1, 1).await.unwrap();
    let mut impatient = database.begin().await.unwrap();
    add(&mut impatient, 2, 1).await.unwrap();
    let patience = Duration::from_millis(1);
    let dropped = tokio::time::timeout(patience, add(&mut impatient, 1, 1)).await;
    assert!(dropped.is_err());
    assert_aborted(impatient.statement().await.map(drop));
    let next = database.begin().await.unwrap();
    let next = start!(next => add(&mut next, 1, 1));
    let other = database.begin().await.unwrap();
    let other = start!(other => add(&mut other, 2, 1));
    drop(holder);
    assert!(answer(next).await.1.unwrap(), "it is the first in line");
    assert!(
        !other.is_finished(),
        "the server holds what was held until the rollback"
    );
    assert_aborted(database.commit(impatient).await);
    assert!(answer(other).await.1.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_waits_for_more_passes_those_who_waited_before() {
    let database = with(&[10]).await;
    let (mut first, mut second) = (
        database.begin().await.unwrap(),
        database.begin().await.unwrap(),
    );
    for sharer in [&mut first, &mut second] {
        let locked = lock(sharer, 1, Strength::KeyShare).await.unwrap();
        assert!(locked.row().is_some());
    }
    let waiter = database.begin().await.unwrap();
    let waiter = start!(waiter => delete(&mut waiter, 1));
    let first = start!(first => delete(&mut first, 1));
    assert!(!waiter.is_finished() && !first.is_finished());
    drop(second);
    let (first, deleted) = answer(first).await;
    assert!(
        deleted.unwrap(),
        "the waiter waits for it, so it cannot wait for the waiter"
    );
    database.commit(first).await.unwrap();
    assert!(!answer(waiter).await.1.unwrap());
}
