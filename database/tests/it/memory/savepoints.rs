//! What others notice when a transaction goes back to its savepoint.

use mainstay_database::Transactions as _;

use super::*;

#[tokio::test(start_paused = true)]
async fn going_back_releases_locks_taken_since() {
    let database = with(&[10, 20]).await;
    let mut tx = database.begin().await.unwrap();
    assert!(add(&mut tx, 1, 1).await.unwrap());
    database.savepoint(&mut tx).await.unwrap();
    assert!(add(&mut tx, 2, 1).await.unwrap());
    let (kept, undone) = (
        database.begin().await.unwrap(),
        database.begin().await.unwrap(),
    );
    let kept = start!(kept => add(&mut kept, 1, 1));
    let undone = start!(undone => add(&mut undone, 2, 1));
    assert!(!kept.is_finished() && !undone.is_finished());
    database.roll_back_to_savepoint(&mut tx).await.unwrap();
    let (undone, answer_of_undone) = answer(undone).await;
    assert!(answer_of_undone.unwrap());
    database.commit(undone).await.unwrap();
    assert!(
        !kept.is_finished(),
        "a lock from before the savepoint was released"
    );
    database.commit(tx).await.unwrap();
    let (kept, answer_of_kept) = answer(kept).await;
    assert!(answer_of_kept.unwrap());
    database.commit(kept).await.unwrap();
    assert_eq!(committed(&database, 1).await, Some(12));
    assert_eq!(committed(&database, 2).await, Some(21));
}

#[tokio::test(start_paused = true)]
async fn going_back_weakens_a_lock_to_what_it_was() {
    let database = with(&[10]).await;
    let mut tx = database.begin().await.unwrap();
    lock(&mut tx, 1, Strength::Share)
        .await
        .unwrap()
        .row()
        .unwrap();
    database.savepoint(&mut tx).await.unwrap();
    assert!(add(&mut tx, 1, 1).await.unwrap());
    let sharer = database.begin().await.unwrap();
    let sharer = start!(sharer => lock(&mut sharer, 1, Strength::Share));
    assert!(!sharer.is_finished());
    database.roll_back_to_savepoint(&mut tx).await.unwrap();
    let (sharer, locked) = answer(sharer).await;
    assert_eq!(locked.unwrap(), Locked::Row(Row { id: 1, value: 10 }));
    drop(sharer);
    let updater = database.begin().await.unwrap();
    let updater = start!(updater => add(&mut updater, 1, 1));
    assert!(!updater.is_finished(), "the share lock was released");
    drop(tx);
    assert!(answer(updater).await.1.unwrap());
}

#[tokio::test(start_paused = true)]
async fn going_back_lets_another_one_insert_the_key() {
    let database = with(&[]).await;
    let mut tx = database.begin().await.unwrap();
    database.savepoint(&mut tx).await.unwrap();
    assert_eq!(insert(&mut tx, 1, 10).await.unwrap(), Inserted::New);
    let other = database.begin().await.unwrap();
    let other = start!(other => insert(&mut other, 1, 20));
    assert!(!other.is_finished());
    database.roll_back_to_savepoint(&mut tx).await.unwrap();
    let (other, inserted) = answer(other).await;
    assert_eq!(inserted.unwrap(), Inserted::New);
    // It is the other one's key now.
    let tx = start!(tx => insert(&mut tx, 1, 30));
    assert!(!tx.is_finished());
    database.commit(other).await.unwrap();
    assert_eq!(answer(tx).await.1.unwrap(), Inserted::Exists);
    assert_eq!(committed(&database, 1).await, Some(20));
}
