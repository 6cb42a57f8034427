//! What a statement sees, transaction ids, snapshots, sequences and the clock.

use super::*;
use mainstay_database::memory::Snapshot;

async fn snapshot(on: &mut Connection) -> Snapshot {
    on.statement().await.unwrap().snapshot()
}

#[tokio::test(start_paused = true)]
async fn writes_are_seen_by_their_transaction_alone_until_it_commits() {
    let database = with(&[10, 20]).await;
    let mut writer = database.begin().await.unwrap();
    add(&mut writer, 1, 1).await.unwrap();
    delete(&mut writer, 2).await.unwrap();
    assert_eq!(insert(&mut writer, 3, 30).await.unwrap(), Inserted::New);
    assert_eq!(value(&mut writer, 1).await, Some(11));
    assert_eq!(value(&mut writer, 2).await, None);
    assert_eq!(value(&mut writer, 3).await, Some(30));
    let seen = [1, 2, 3].map(|id| committed(&database, id));
    let [first, second, third] = seen;
    assert_eq!(
        (first.await, second.await, third.await),
        (Some(10), Some(20), None)
    );
    database.commit(writer).await.unwrap();
    assert_eq!(committed(&database, 1).await, Some(11));
    assert_eq!(committed(&database, 2).await, None);
    assert_eq!(committed(&database, 3).await, Some(30));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_transaction_leaves_nothing() {
    let database = with(&[10, 20]).await;
    let mut tx = database.begin().await.unwrap();
    add(&mut tx, 1, 1).await.unwrap();
    add(&mut tx, 1, 1).await.unwrap();
    delete(&mut tx, 2).await.unwrap();
    assert_eq!(insert(&mut tx, 2, 21).await.unwrap(), Inserted::New);
    assert_eq!(insert(&mut tx, 3, 30).await.unwrap(), Inserted::New);
    drop(tx);
    let mut tx = database.begin().await.unwrap();
    let rows: Vec<Row> = tx.statement().await.unwrap().scan(..);
    let values: Vec<_> = rows.into_iter().map(|row| (row.id, row.value)).collect();
    assert_eq!(values, [(1, 10), (2, 20)]);
}

#[tokio::test(start_paused = true)]
async fn a_statement_does_not_see_its_own_writes_and_the_next_one_does() {
    let database = with(&[10]).await;
    let mut tx = database.begin().await.unwrap();
    let mut statement = tx.statement().await.unwrap();
    let inserted = statement.insert(Row { id: 2, value: 20 }).await.unwrap();
    assert_eq!(inserted, Inserted::New);
    assert_eq!(statement.get::<Row>(&2), None);
    let again = statement.insert(Row { id: 2, value: 21 }).await.unwrap();
    assert_eq!(
        again,
        Inserted::Exists,
        "uniqueness knows better than the snapshot"
    );
    drop(statement);
    assert_eq!(value(&mut tx, 2).await, Some(20));
}

#[tokio::test(start_paused = true)]
async fn a_statement_keeps_its_snapshot_and_the_next_takes_a_new_one() {
    let database = with(&[10]).await;
    let mut reader = database.begin().await.unwrap();
    let statement = reader.statement().await.unwrap();
    for _ in 0..3 {
        let mut writer = database.begin().await.unwrap();
        add(&mut writer, 1, 1).await.unwrap();
        database.commit(writer).await.unwrap();
    }
    let mut writer = database.begin().await.unwrap();
    delete(&mut writer, 1).await.unwrap();
    database.commit(writer).await.unwrap();
    assert_eq!(statement.get(&1), Some(Row { id: 1, value: 10 }));
    assert_eq!(statement.scan::<Row>(..).len(), 1);
    drop(statement);
    assert_eq!(value(&mut reader, 1).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_names_what_is_in_progress() {
    let database = database();
    let (mut first, mut second, mut third, mut reader) = (
        database.begin().await.unwrap(),
        database.begin().await.unwrap(),
        database.begin().await.unwrap(),
        database.begin().await.unwrap(),
    );
    let ids = [&mut first, &mut second, &mut third].map(|tx| tx.transaction_id());
    assert!(ids.is_sorted());
    let before = snapshot(&mut reader).await;
    assert!(
        before.in_progress().is_empty(),
        "nothing has ended: all lie above xmax"
    );
    assert!(
        ids.iter()
            .all(|&id| id >= before.xmax() && !before.sees(id))
    );
    database.commit(second).await.unwrap();
    let seen = snapshot(&mut reader).await;
    assert_eq!(seen.xmin(), ids[0]);
    assert_eq!(seen.xmax().get(), ids[1].get() + 1);
    assert_eq!(seen.in_progress(), [ids[0]]);
    assert_eq!(ids.map(|id| seen.sees(id)), [false, true, false]);
    let own = snapshot(&mut first).await;
    assert_eq!((own.xmin(), own.in_progress()), (ids[0], &[][..]));
    drop((first, third));
    let after = snapshot(&mut reader).await;
    assert_eq!(after.xmin(), after.xmax());
    assert_eq!(
        after.xmax().get(),
        ids[2].get() + 1,
        "a rollback ends an id too"
    );
}

#[tokio::test(start_paused = true)]
async fn a_transaction_id_is_drawn_on_the_first_write_and_not_by_reading() {
    let database = with(&[10]).await;
    let (mut early, mut late) = (
        database.begin().await.unwrap(),
        database.begin().await.unwrap(),
    );
    assert_eq!(value(&mut early, 1).await, Some(10));
    assert!(
        !delete(&mut early, 9).await.unwrap(),
        "no such row: nothing written"
    );
    assert_eq!(early.statement().await.unwrap().next_value("s"), 1);
    let late = late.transaction_id();
    assert!(early.transaction_id() > late);
    assert_eq!(early.transaction_id(), early.transaction_id());
}

#[tokio::test(start_paused = true)]
async fn an_open_writer_holds_xmin_back_and_a_reader_does_not() {
    let database = with(&[10, 20]).await;
    let mut reader = database.begin().await.unwrap();
    assert_eq!(value(&mut reader, 1).await, Some(10));
    let mut open = database.begin().await.unwrap();
    let held = open.transaction_id();
    for _ in 0..5 {
        let mut writer = database.begin().await.unwrap();
        add(&mut writer, 1, 1).await.unwrap();
        database.commit(writer).await.unwrap();
        assert_eq!(snapshot(&mut reader).await.xmin(), held);
    }
    drop(open);
    assert!(snapshot(&mut reader).await.xmin() > held);
}

#[tokio::test(start_paused = true)]
async fn a_sequence_is_drawn_before_commit_and_leaves_gaps() {
    let database = database();
    for keep in [true, false, true] {
        let mut tx = database.begin().await.unwrap();
        let mut statement = tx.statement().await.unwrap();
        let id = u32::try_from(statement.next_value("position")).unwrap();
        assert_eq!(
            statement.next_value(format!("other {keep}")),
            if id == 3 { 2 } else { 1 }
        );
        assert_eq!(
            statement.insert(Row { id, value: 0 }).await.unwrap(),
            Inserted::New
        );
        drop(statement);
        if keep {
            database.commit(tx).await.unwrap();
        }
    }
    let mut tx = database.begin().await.unwrap();
    let rows: Vec<Row> = tx.statement().await.unwrap().scan(..);
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 3]);
}

#[tokio::test(start_paused = true)]
async fn values_of_a_sequence_become_visible_out_of_order() {
    let database = database();
    let mut slow = database.begin().await.unwrap();
    let first = slow.statement().await.unwrap().next_value("position");
    let mut fast = database.begin().await.unwrap();
    let second = fast.statement().await.unwrap().next_value("position");
    assert!(first < second);
    for (tx, value) in [(&mut slow, first), (&mut fast, second)] {
        let id = u32::try_from(value).unwrap();
        assert_eq!(insert(tx, id, 0).await.unwrap(), Inserted::New);
    }
    let mut reader = database.begin().await.unwrap();
    database.commit(fast).await.unwrap();
    let seen: Vec<Row> = reader.statement().await.unwrap().scan(..);
    assert_eq!(
        seen.len(),
        1,
        "a reader that goes on after it loses the other"
    );
    database.commit(slow).await.unwrap();
    let seen: Vec<Row> = reader.statement().await.unwrap().scan(..);
    assert_eq!(seen.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_scan_goes_in_key_order_through_any_range() {
    let values: Vec<i64> = (0..1_000).collect();
    let database = with(&values).await;
    let mut tx = database.begin().await.unwrap();
    let statement = tx.statement().await.unwrap();
    let ids = |rows: Vec<Row>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(statement.scan(..)), (1..=1_000).collect::<Vec<_>>());
    assert_eq!(ids(statement.scan(998..)), [998, 999, 1_000]);
    assert_eq!(ids(statement.scan(2..=3)), [2, 3]);
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
    let reversed = statement.scan::<Row>(3..2);
    assert_eq!(
        ids(reversed),
        [] as [u32; 0],
        "as SQL has it: nothing, no panic"
    );
    let rare = statement.select(5.., 3, |row: &Row| row.id.is_multiple_of(300));
    assert_eq!(ids(rare), [300, 600, 900]);
    assert_eq!(ids(statement.select(.., 0, |_: &Row| true)), [] as [u32; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_statement_is_its_begin_by_the_databases_clock() {
    let database = with(&[10]).await;
    let mut holder = database.begin().await.unwrap();
    add(&mut holder, 1, 1).await.unwrap();
    let began = database.now();
    let mut tx = database.begin().await.unwrap();
    let waiting = tokio::spawn(async move {
        let mut statement = tx.statement().await.unwrap();
        let before = statement.now();
        let locked = statement
            .lock::<Row>(&1, Strength::Update, Wait::Block)
            .await;
        assert!(locked.unwrap().row().is_some());
        (before, statement.now())
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    database.commit(holder).await.unwrap();
    let (before, after) = waiting.await.unwrap();
    assert_eq!(
        (before, after),
        (began, began),
        "stale after a wait, as a server's is"
    );
    assert!(database.now() >= began + Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn old_versions_go_when_no_statement_can_see_them() {
    #[derive(Clone)]
    struct Counted(Arc<()>);
    impl Record for Counted {
        const TABLE: &'static str = "counted";
        type Key = ();
        fn key(&self) {}
    }
    let (database, row) = (database(), Arc::new(()));
    let mut tx = database.begin().await.unwrap();
    let mut statement = tx.statement().await.unwrap();
    let inserted = statement.insert(Counted(Arc::clone(&row))).await.unwrap();
    assert_eq!(inserted, Inserted::New);
    drop(statement);
    database.commit(tx).await.unwrap();
    for _ in 0..100 {
        let mut tx = database.begin().await.unwrap();
        let mut statement = tx.statement().await.unwrap();
        assert!(statement.update(&(), |_: &mut Counted| true).await.unwrap());
        drop(statement);
        database.commit(tx).await.unwrap();
    }
    let mut tx = database.begin().await.unwrap();
    let Counted(read) = tx.statement().await.unwrap().get(&()).unwrap();
    assert!(Arc::ptr_eq(&read, &row));
    assert_eq!(
        Arc::strong_count(&row),
        3,
        "ours, the one read, one version's"
    );
}
