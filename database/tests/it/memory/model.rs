//! Random runs against a model.

use std::{collections::BTreeMap, future::Future};

use super::*;
use mainstay_database::Transactions as _;
use mainstay_database::memory::{CommitFault, Fault, Outcome};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u32, i64),
    Upsert(u32, i64),
    Add(u32, i64),
    Delete(u32),
    Lock(u32),
    Scan(u32, u32),
    Savepoint,
    Release,
    GoBack,
    Commit,
    RollBack,
}

fn step() -> impl Strategy<Value = Step> {
    let (id, value) = (0..12_u32, -50..50_i64);
    prop_oneof![
        3 => (id.clone(), value.clone()).prop_map(|(id, value)| Step::Insert(id, value)),
        2 => (id.clone(), value.clone()).prop_map(|(id, value)| Step::Upsert(id, value)),
        3 => (id.clone(), value).prop_map(|(id, value)| Step::Add(id, value)),
        2 => id.clone().prop_map(Step::Delete),
        1 => id.clone().prop_map(Step::Lock),
        2 => (id.clone(), id).prop_map(|(start, end)| Step::Scan(start, end)),
        1 => Just(Step::Savepoint),
        1 => Just(Step::Release),
        1 => Just(Step::GoBack),
        1 => Just(Step::Commit),
        1 => Just(Step::RollBack),
    ]
}

async fn upsert(on: &mut Connection, id: u32, value: i64) -> Inserted {
    let mut statement = on.statement().await.unwrap();
    let upserted = statement.upsert(Row { id, value }, |row| row.value = value);
    upserted.await.unwrap()
}

async fn follow_the_model(steps: Vec<Step>) {
    let database = database();
    let mut tx = database.begin().await.unwrap();
    let mut kept = BTreeMap::new();
    let mut savepoint: Option<BTreeMap<u32, i64>> = None;
    let mut model: BTreeMap<u32, i64> = kept.clone();
    let found = |exists: bool| {
        if exists {
            Inserted::Exists
        } else {
            Inserted::New
        }
    };
    for step in steps {
        match step {
            Step::Insert(id, value) => {
                let expected = found(model.contains_key(&id));
                model.entry(id).or_insert(value);
                assert_eq!(insert(&mut tx, id, value).await.unwrap(), expected);
            }
            Step::Upsert(id, value) => {
                let expected = found(model.insert(id, value).is_some());
                assert_eq!(upsert(&mut tx, id, value).await, expected);
            }
            Step::Add(id, amount) => {
                let expected = model.get_mut(&id).map(|value| *value += amount);
                assert_eq!(add(&mut tx, id, amount).await.unwrap(), expected.is_some());
            }
            Step::Delete(id) => {
                let expected = model.remove(&id).is_some();
                assert_eq!(delete(&mut tx, id).await.unwrap(), expected);
            }
            Step::Lock(id) => {
                let locked = lock(&mut tx, id, Strength::Share).await.unwrap().row();
                assert_eq!(locked.map(|row| row.value), model.get(&id).copied());
            }
            Step::Scan(start, end) => {
                let rows: Vec<Row> = tx.statement().await.unwrap().scan(start..end);
                let rows: Vec<_> = rows.into_iter().map(|row| (row.id, row.value)).collect();
                let inside = |id: &u32| (start..end).contains(id);
                let expected: Vec<_> = model
                    .clone()
                    .into_iter()
                    .filter(|(id, _)| inside(id))
                    .collect();
                assert_eq!(rows, expected);
            }
            Step::Savepoint => {
                database.savepoint(&mut tx).await.unwrap();
                savepoint = Some(model.clone());
            }
            Step::Release => {
                if savepoint.take().is_some() {
                    database.release_savepoint(&mut tx).await.unwrap();
                }
            }
            Step::GoBack => {
                if let Some(savepoint) = &savepoint {
                    database.roll_back_to_savepoint(&mut tx).await.unwrap();
                    model = savepoint.clone();
                }
            }
            Step::Commit => {
                savepoint = None;
                database.commit(tx).await.unwrap();
                kept = model.clone();
                tx = database.begin().await.unwrap();
            }
            Step::RollBack => {
                savepoint = None;
                drop(tx);
                model = kept.clone();
                tx = database.begin().await.unwrap();
            }
        }
    }
    drop(tx);
    let mut reader = database.begin().await.unwrap();
    let rows: Vec<Row> = reader.statement().await.unwrap().scan(..);
    let rows: Vec<_> = rows.into_iter().map(|row| (row.id, row.value)).collect();
    assert_eq!(rows, kept.into_iter().collect::<Vec<_>>());
}

/// Moves one unit and notes the move under its number, in one transaction: what an inbox does.
async fn transfer(database: &Database, number: u32, from: u32, to: u32) -> Result<(), Error> {
    let mut tx = database.begin().await?;
    tx.set_lock_timeout(Some(Duration::from_secs(1)));
    if insert(&mut tx, 1_000 + number, 0).await? == Inserted::New {
        add(&mut tx, from, -1).await?;
        add(&mut tx, to, 1).await?;
    }
    database.commit(tx).await
}

async fn transfer_everything_once_under_faults(seed: u64, moves: Vec<(u32, u32)>) {
    let database = Database::builder()
        .clock(TokioClock::default())
        .ids(SeededIds::new(seed))
        .build();
    let mut tx = database.begin().await.unwrap();
    for id in 0..4 {
        assert_eq!(insert(&mut tx, id, 100).await.unwrap(), Inserted::New);
    }
    database.commit(tx).await.unwrap();
    let faults = database.faults();
    faults.sometimes(12, Fault::Serialization);
    faults.sometimes(15, Fault::Unavailable);
    for outcome in [Outcome::Applied, Outcome::NotApplied, Outcome::AppliedLater] {
        faults.commits_sometimes(6, CommitFault::Unknown(outcome));
    }
    let mut expected = [100_i64; 4];
    let mut tasks = Vec::new();
    for (number, &(from, to)) in (0..).zip(&moves) {
        expected[from as usize] -= 1;
        expected[to as usize] += 1;
        let database = database.clone();
        tasks.push(tokio::spawn(async move {
            while let Err(error) = transfer(&database, number, from, to).await {
                assert!(error.is_retryable(), "{error:?}");
            }
        }));
    }
    // Pending commits hold locks that the others wait for.
    while tasks.iter().any(|task| !task.is_finished()) {
        tokio::time::sleep(Duration::from_millis(700)).await;
        for (index, pending) in database.faults().pending().into_iter().enumerate() {
            if index % 2 == 0 {
                pending.apply();
            } else {
                pending.discard();
            }
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    database.faults().clear();
    for pending in database.faults().pending() {
        pending.apply();
    }
    let mut reader = database.begin().await.unwrap();
    let rows: Vec<Row> = reader.statement().await.unwrap().scan(0..4);
    let values: Vec<_> = rows.into_iter().map(|row| row.value).collect();
    assert_eq!(values, expected);
}

fn paused(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test);
}

proptest! {
    #[test]
    fn one_transaction_at_a_time_behaves_as_a_map(steps in prop::collection::vec(step(), 1..80)) {
        paused(follow_the_model(steps));
    }

    #[test]
    fn recorded_transfers_happen_once_under_any_fault(
        seed in any::<u64>(),
        moves in prop::collection::vec((0..4_u32, 0..4_u32), 1..16),
    ) {
        paused(transfer_everything_once_under_faults(seed, moves));
    }
}
