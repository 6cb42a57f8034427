//! States that are kept.

use super::{
    Fixture,
    accounts::{Balance, Kept, KeptBefore, appended, loaded, moved, opened},
    begin, commit,
};
use crate::{
    Aggregate, EventStore as _, Loaded, fold,
    store::{SnapshotStore as _, StoredSnapshot, StreamName},
};

/// The version of the snapshot of this shape, and how many events are above it.
async fn kept<F: Fixture>(f: &F, id: &str, shape: u32) -> (Option<u64>, usize) {
    let mut tx = begin(f).await;
    let stream = StreamName::of::<Kept>(id).unwrap();
    let (store, reading) = (f.store(), &mut tx);
    let (snapshot, events) = store
        .read_from_snapshot(reading, &stream, shape)
        .await
        .unwrap();
    (snapshot.map(|snapshot| snapshot.version), events.len())
}

/// Puts a snapshot in the place of the stream's.
async fn put<F: Fixture>(f: &F, id: &str, version: u64, shape: u32, state: &str) {
    let mut tx = begin(f).await;
    let stream = StreamName::of::<Kept>(id).unwrap();
    let snapshot = StoredSnapshot::new(version, shape, state.to_owned());
    let store = f.store();
    store
        .write_snapshot(&mut tx, &stream, &snapshot)
        .await
        .unwrap();
    commit(f, tx).await;
}

fn shape<A: Aggregate>() -> u32 {
    A::SNAPSHOTS.unwrap().shape
}

pub async fn a_load_begins_at_the_snapshot<F: Fixture>(f: &F) {
    appended::<F, Kept>(f, "1", [opened("ada"), moved(1)]).await;
    // A state that no events make: it is read, and the events below it are not.
    let state = Kept(Balance {
        owner: "from the snapshot".to_owned(),
        ..Balance::default()
    });
    put(
        f,
        "1",
        1,
        shape::<Kept>(),
        &serde_json::to_string(&state).unwrap(),
    )
    .await;
    let account = loaded::<F, Kept>(f, "1").await;
    assert_eq!(
        (&*account.0.owner, account.0.cents),
        ("from the snapshot", 1)
    );
    assert_eq!(account.version(), 2);
    // Another one's snapshot is nobody else's.
    assert_eq!(loaded::<F, Kept>(f, "10").await.version(), 0);
}

pub async fn a_snapshot_is_written_when_it_is_due<F: Fixture>(f: &F) {
    let own = shape::<Kept>();
    let mut events = Vec::new();
    // Every third event; several at once are kept once, with all of them.
    for (count, wanted) in [
        (1, None),
        (1, None),
        (1, Some(3)),
        (2, Some(3)),
        (7, Some(12)),
        (1, Some(12)),
    ] {
        let new: Vec<_> = (0..count).map(moved).collect();
        events.extend(new.clone());
        let account = appended::<F, Kept>(f, "1", new).await;
        let above = account.version() - wanted.unwrap_or(0);
        assert_eq!(
            kept(f, "1", own).await,
            (wanted, usize::try_from(above).unwrap())
        );
        let again = loaded::<F, Kept>(f, "1").await;
        assert_eq!(again.version(), account.version());
        assert_eq!(again.into_state(), fold::<Kept>(events.clone()));
    }
}

pub async fn a_snapshot_of_another_shape_is_ignored_and_replaced<F: Fixture>(f: &F) {
    let (own, before) = (shape::<Kept>(), shape::<KeptBefore>());
    appended::<F, KeptBefore>(f, "1", [opened("ada"), moved(1), moved(2)]).await;
    assert_eq!(kept(f, "1", before).await, (Some(3), 0));
    assert_eq!(kept(f, "1", own).await, (None, 3), "dropped");
    // As it would be read, if it were.
    put(
        f,
        "1",
        3,
        before,
        r#"{"owner":"stale","cents":0,"notes":[]}"#,
    )
    .await;
    let account = loaded::<F, Kept>(f, "1").await;
    assert_eq!(
        (&*account.0.owner, account.0.cents, account.version()),
        ("ada", 3, 3)
    );
    appended::<F, Kept>(f, "1", [moved(3)]).await;
    assert_eq!(kept(f, "1", own).await, (Some(4), 0));
    // The build before, which may still run, reads the stream.
    let account = loaded::<F, KeptBefore>(f, "1").await;
    assert_eq!((account.0.cents, account.version()), (6, 4));
}

pub async fn a_snapshot_that_does_not_decode_is_ignored_and_replaced<F: Fixture>(f: &F) {
    let own = shape::<Kept>();
    appended::<F, Kept>(f, "1", [opened("ada"), moved(1), moved(2)]).await;
    put(f, "1", 3, own, r#"{"owner":7}"#).await;
    let account = loaded::<F, Kept>(f, "1").await;
    assert_eq!(
        (&*account.0.owner, account.0.cents, account.version()),
        ("ada", 3, 3)
    );
    appended::<F, Kept>(f, "1", [moved(3)]).await;
    assert_eq!(kept(f, "1", own).await, (Some(4), 0));
    assert_eq!(loaded::<F, Kept>(f, "1").await.0.cents, 6);
}

pub async fn a_snapshot_rolls_back_with_its_events<F: Fixture>(f: &F) {
    let mut tx = begin(f).await;
    let events = [opened("ada"), moved(1), moved(2)];
    let account: Loaded<Kept> = f.store().create(&mut tx, "1", events).await.unwrap();
    assert_eq!(account.version(), 3);
    drop(tx);
    assert_eq!(kept(f, "1", shape::<Kept>()).await, (None, 0));
    assert_eq!(loaded::<F, Kept>(f, "1").await.version(), 0);
}
