//! Updates and deletes that meet another transaction.

use super::*;

async fn set_if(on: &mut Connection, id: u32, expected: i64, to: i64) -> Result<bool, Error> {
    let change = |row: &mut Row| {
        let matches = row.value == expected;
        row.value = to;
        matches
    };
    on.statement().await?.update(&id, change).await
}

#[tokio::test(start_paused = true)]
async fn a_blocked_update_re_reads_the_newest_version() {
    let database = with(&[10]).await;
    let mut first = database.begin().await.unwrap();
    add(&mut first, 1, 1).await.unwrap();
    let second = database.begin().await.unwrap();
    let second = start!(second => add(&mut second, 1, 100));
    assert!(!second.is_finished());
    database.commit(first).await.unwrap();
    let (second, updated) = answer(second).await;
    assert!(updated.unwrap());
    database.commit(second).await.unwrap();
    assert_eq!(committed(&database, 1).await, Some(111));
}

#[tokio::test(start_paused = true)]
async fn a_blocked_update_goes_on_with_the_old_version_after_a_rollback() {
    let database = with(&[10]).await;
    let mut first = database.begin().await.unwrap();
    add(&mut first, 1, 1).await.unwrap();
    let second = database.begin().await.unwrap();
    let second = start!(second => add(&mut second, 1, 100));
    assert!(!second.is_finished());
    drop(first);
    let (second, updated) = answer(second).await;
    assert!(updated.unwrap());
    database.commit(second).await.unwrap();
    assert_eq!(committed(&database, 1).await, Some(110));
}

#[tokio::test(start_paused = true)]
async fn a_blocked_update_checks_its_predicate_again() {
    let database = with(&[10]).await;
    let mut first = database.begin().await.unwrap();
    assert!(set_if(&mut first, 1, 10, 11).await.unwrap());
    let second = database.begin().await.unwrap();
    let second = start!(second => set_if(&mut second, 1, 10, 12));
    assert!(!second.is_finished());
    database.commit(first).await.unwrap();
    let (second, updated) = answer(second).await;
    assert!(!updated.unwrap());
    database.commit(second).await.unwrap();
    assert_eq!(committed(&database, 1).await, Some(11));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_does_not_match_in_the_snapshot_is_left_alone_though_its_newest_version_would() {
    let database = with(&[10]).await;
    let mut first = database.begin().await.unwrap();
    assert!(set_if(&mut first, 1, 10, 11).await.unwrap());
    let second = database.begin().await.unwrap();
    let second = start!(second => set_if(&mut second, 1, 11, 12));
    assert!(second.is_finished(), "it does not even wait");
    database.commit(first).await.unwrap();
    assert!(!answer(second).await.1.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_update_re_reads_a_row_that_changed_after_its_snapshot() {
    let database = with(&[10]).await;
    let mut tx = database.begin().await.unwrap();
    let mut statement = tx.statement().await.unwrap();
    let mut other = database.begin().await.unwrap();
    add(&mut other, 1, 1).await.unwrap();
    database.commit(other).await.unwrap();
    assert_eq!(statement.get::<Row>(&1).unwrap().value, 10);
    let mut read = Vec::new();
    let updated = statement.update(&1, |row: &mut Row| {
        read.push(row.value);
        true
    });
    assert!(updated.await.unwrap());
    assert_eq!(read, [10, 11]);
}

#[tokio::test(start_paused = true)]
async fn an_update_whose_row_was_deleted_meanwhile_finds_nothing() {
    let database = with(&[10]).await;
    let mut first = database.begin().await.unwrap();
    assert!(delete(&mut first, 1).await.unwrap());
    let second = database.begin().await.unwrap();
    let second = start!(second => add(&mut second, 1, 1));
    let third = database.begin().await.unwrap();
    let third = start!(third => delete(&mut third, 1));
    assert!(!second.is_finished() && !third.is_finished());
    database.commit(first).await.unwrap();
    let (second, updated) = answer(second).await;
    assert!(!updated.unwrap());
    drop(second);
    assert!(!answer(third).await.1.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_row_deleted_and_inserted_again_is_another_row() {
    let database = with(&[10]).await;
    let mut first = database.begin().await.unwrap();
    assert!(delete(&mut first, 1).await.unwrap());
    assert_eq!(insert(&mut first, 1, 20).await.unwrap(), Inserted::New);
    let second = database.begin().await.unwrap();
    let second = start!(second => add(&mut second, 1, 1));
    assert!(!second.is_finished());
    database.commit(first).await.unwrap();
    let (mut second, updated) = answer(second).await;
    assert!(!updated.unwrap(), "the row it waited for is gone");
    assert!(
        add(&mut second, 1, 1).await.unwrap(),
        "a new snapshot has the new one"
    );
}

#[tokio::test(start_paused = true)]
async fn a_blocked_delete_checks_its_predicate_again() {
    let database = with(&[10]).await;
    let mut first = database.begin().await.unwrap();
    add(&mut first, 1, 1).await.unwrap();
    let second = database.begin().await.unwrap();
    let second = start!(second => async {
        let mut statement = second.statement().await?;
        statement.delete(&1, |row: &Row| row.value == 10).await
    });
    assert!(!second.is_finished());
    database.commit(first).await.unwrap();
    assert!(!answer(second).await.1.unwrap());
    assert_eq!(committed(&database, 1).await, Some(11));
}

#[tokio::test(start_paused = true)]
async fn a_row_not_yet_visible_is_not_waited_for() {
    let database = database();
    let mut first = database.begin().await.unwrap();
    assert_eq!(insert(&mut first, 1, 10).await.unwrap(), Inserted::New);
    let mut second = database.begin().await.unwrap();
    assert!(!add(&mut second, 1, 1).await.unwrap());
    assert!(!delete(&mut second, 1).await.unwrap());
    assert_eq!(
        lock(&mut second, 1, Strength::Update).await.unwrap(),
        Locked::Missing
    );
}

#[tokio::test(start_paused = true)]
async fn a_row_is_changed_once_in_a_statement() {
    let database = with(&[10]).await;
    let mut tx = database.begin().await.unwrap();
    let mut statement = tx.statement().await.unwrap();
    let change = |row: &mut Row| {
        row.value += 1;
        true
    };
    assert!(statement.update(&1, change).await.unwrap());
    assert!(!statement.update(&1, change).await.unwrap());
    assert!(!statement.delete::<Row>(&1, |_| true).await.unwrap());
    drop(statement);
    assert!(add(&mut tx, 1, 1).await.unwrap());
    assert_eq!(value(&mut tx, 1).await, Some(12));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_key_is_refused() {
    let database = with(&[10]).await;
    let mut tx = database.begin().await.unwrap();
    let mut statement = tx.statement().await.unwrap();
    let moved = statement.update(&1, |row: &mut Row| {
        row.id = 2;
        true
    });
    let error = moved.await.unwrap_err();
    assert!(matches!(error, Error::Failed(_)), "{error:?}");
    assert_eq!(cause(&error), Cause::KeyChanged("row"));
    drop(statement);
    assert_aborted(tx.statement().await.map(drop));
}

#[tokio::test(start_paused = true)]
async fn a_table_belongs_to_the_first_type_written_to_it() {
    #[derive(Clone, Debug)]
    struct Impostor;
    impl Record for Impostor {
        const TABLE: &'static str = "row";
        type Key = u8;
        fn key(&self) -> u8 {
            1
        }
    }
    let database = with(&[10]).await;
    let mut tx = database.begin().await.unwrap();
    let mut statement = tx.statement().await.unwrap();
    assert!(statement.get::<Impostor>(&1).is_none());
    let error = statement.insert(Impostor).await.unwrap_err();
    assert_eq!(cause(&error), Cause::AnotherType("row"));
    drop(statement);
    drop(tx);
    assert_eq!(committed(&database, 1).await, Some(10));
}

#[tokio::test]
async fn concurrent_increments_lose_nothing() {
    let database = with(&[0]).await;
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move {
                let mut tx = database.begin().await.unwrap();
                assert!(add(&mut tx, 1, 1).await.unwrap());
                database.commit(tx).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(committed(&database, 1).await, Some(64));
}
