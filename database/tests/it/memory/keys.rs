//! Unique keys: inserts that meet another transaction.

use super::*;

async fn upsert(on: &mut Connection, id: u32, amount: i64) -> Result<Inserted, Error> {
    let row = Row { id, value: amount };
    let mut statement = on.statement().await?;
    statement.upsert(row, |row| row.value += amount).await
}

#[tokio::test(start_paused = true)]
async fn an_insert_waits_for_an_insert_of_the_same_key() {
    for (commits, expected) in [(true, Inserted::Exists), (false, Inserted::New)] {
        let database = database();
        let mut first = database.begin().await.unwrap();
        assert_eq!(insert(&mut first, 1, 10).await.unwrap(), Inserted::New);
        let second = database.begin().await.unwrap();
        let second = start!(second => insert(&mut second, 1, 20));
        assert!(!second.is_finished());
        if commits {
            database.commit(first).await.unwrap();
        } else {
            drop(first);
        }
        let (second, inserted) = answer(second).await;
        assert_eq!(inserted.unwrap(), expected);
        database.commit(second).await.unwrap();
        let winner = if commits { 10 } else { 20 };
        assert_eq!(committed(&database, 1).await, Some(winner));
    }
}

#[tokio::test(start_paused = true)]
async fn an_insert_waits_for_a_delete_of_the_same_key() {
    for (commits, expected) in [(true, Inserted::New), (false, Inserted::Exists)] {
        let database = with(&[10]).await;
        let mut first = database.begin().await.unwrap();
        assert!(delete(&mut first, 1).await.unwrap());
        let second = database.begin().await.unwrap();
        let second = start!(second => insert(&mut second, 1, 20));
        assert!(!second.is_finished());
        if commits {
            database.commit(first).await.unwrap();
        } else {
            drop(first);
        }
        assert_eq!(answer(second).await.1.unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_insert_waits_for_an_update_of_the_same_key() {
    let database = with(&[10]).await;
    let mut first = database.begin().await.unwrap();
    add(&mut first, 1, 1).await.unwrap();
    let second = database.begin().await.unwrap();
    let second = start!(second => insert(&mut second, 1, 20));
    assert!(!second.is_finished());
    database.commit(first).await.unwrap();
    assert_eq!(answer(second).await.1.unwrap(), Inserted::Exists);
}

#[tokio::test(start_paused = true)]
async fn an_insert_does_not_wait_for_a_mere_lock() {
    let database = with(&[10]).await;
    let mut holder = database.begin().await.unwrap();
    assert!(
        lock(&mut holder, 1, Strength::Update)
            .await
            .unwrap()
            .row()
            .is_some()
    );
    let mut other = database.begin().await.unwrap();
    assert_eq!(insert(&mut other, 1, 20).await.unwrap(), Inserted::Exists);
}

#[tokio::test(start_paused = true)]
async fn a_row_may_exist_that_the_snapshot_does_not_show() {
    let database = database();
    let mut late = database.begin().await.unwrap();
    let mut statement = late.statement().await.unwrap();
    let mut other = database.begin().await.unwrap();
    assert_eq!(insert(&mut other, 1, 10).await.unwrap(), Inserted::New);
    database.commit(other).await.unwrap();
    let inserted = statement.insert(Row { id: 1, value: 20 }).await.unwrap();
    assert_eq!(
        (inserted, statement.get::<Row>(&1)),
        (Inserted::Exists, None)
    );
    assert!(!statement.update(&1, |_: &mut Row| true).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn many_inserts_of_one_key_have_one_winner() {
    let database = database();
    let mut first = database.begin().await.unwrap();
    assert_eq!(insert(&mut first, 1, 0).await.unwrap(), Inserted::New);
    let mut tasks = Vec::new();
    for number in 1..20 {
        let tx = database.begin().await.unwrap();
        let database = database.clone();
        tasks.push(tokio::spawn(async move {
            let mut tx = tx;
            let inserted = insert(&mut tx, 1, number).await.unwrap();
            database.commit(tx).await.unwrap();
            inserted
        }));
        settle().await;
    }
    drop(first);
    let mut winners = Vec::new();
    for (number, task) in (1..).zip(tasks) {
        if task.await.unwrap() == Inserted::New {
            winners.push(number);
        }
    }
    assert_eq!(winners, [1], "the one that had waited longest");
    assert_eq!(committed(&database, 1).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn inserts_of_two_keys_in_opposite_order_have_one_victim() {
    let database = database();
    let (mut first, mut second) = (
        database.begin().await.unwrap(),
        database.begin().await.unwrap(),
    );
    assert_eq!(insert(&mut first, 1, 0).await.unwrap(), Inserted::New);
    assert_eq!(insert(&mut second, 2, 0).await.unwrap(), Inserted::New);
    let first = start!(first => insert(&mut first, 2, 0));
    assert!(!first.is_finished());
    assert_conflict(insert(&mut second, 1, 0).await, Cause::Deadlock);
    assert_eq!(answer(first).await.1.unwrap(), Inserted::New);
}

#[tokio::test(start_paused = true)]
async fn an_upsert_waits_for_the_lock_and_changes_the_newest_version() {
    let database = with(&[10]).await;
    let mut holder = database.begin().await.unwrap();
    assert!(
        lock(&mut holder, 1, Strength::Update)
            .await
            .unwrap()
            .row()
            .is_some()
    );
    let tx = database.begin().await.unwrap();
    let tx = start!(tx => upsert(&mut tx, 1, 100));
    assert!(!tx.is_finished());
    add(&mut holder, 1, 1).await.unwrap();
    database.commit(holder).await.unwrap();
    let (tx, upserted) = answer(tx).await;
    assert_eq!(upserted.unwrap(), Inserted::Exists);
    database.commit(tx).await.unwrap();
    assert_eq!(committed(&database, 1).await, Some(111));
}

#[tokio::test(start_paused = true)]
async fn an_upsert_inserts_where_the_row_was_deleted_meanwhile() {
    let database = with(&[10]).await;
    let mut holder = database.begin().await.unwrap();
    assert!(
        lock(&mut holder, 1, Strength::Update)
            .await
            .unwrap()
            .row()
            .is_some()
    );
    let tx = database.begin().await.unwrap();
    let tx = start!(tx => upsert(&mut tx, 1, 100));
    assert!(delete(&mut holder, 1).await.unwrap());
    assert!(!tx.is_finished());
    database.commit(holder).await.unwrap();
    let (tx, upserted) = answer(tx).await;
    assert_eq!(upserted.unwrap(), Inserted::New);
    database.commit(tx).await.unwrap();
    assert_eq!(committed(&database, 1).await, Some(100));
}

#[tokio::test(start_paused = true)]
async fn an_upsert_changes_a_row_that_its_snapshot_does_not_have() {
    let database = database();
    let mut first = database.begin().await.unwrap();
    assert_eq!(upsert(&mut first, 1, 10).await.unwrap(), Inserted::New);
    let second = database.begin().await.unwrap();
    let second = start!(second => upsert(&mut second, 1, 100));
    assert!(!second.is_finished());
    database.commit(first).await.unwrap();
    let (second, upserted) = answer(second).await;
    assert_eq!(upserted.unwrap(), Inserted::Exists);
    database.commit(second).await.unwrap();
    assert_eq!(committed(&database, 1).await, Some(110));
}

#[tokio::test(start_paused = true)]
async fn an_upsert_passes_key_sharers() {
    let database = with(&[10]).await;
    let mut sharer = database.begin().await.unwrap();
    assert!(
        lock(&mut sharer, 1, Strength::KeyShare)
            .await
            .unwrap()
            .row()
            .is_some()
    );
    let mut tx = database.begin().await.unwrap();
    assert_eq!(upsert(&mut tx, 1, 1).await.unwrap(), Inserted::Exists);
}
