//! What an append writes, and what it refuses.

use std::time::SystemTime;

use super::{
    Fixture,
    accounts::{Account, AccountEvent, Balance, Moved, appended, loaded, moved, opened},
    begin, commit,
};
use crate::{
    Error, Event as _, EventStore as _, Loaded, fold,
    store::{StoredEvent, StreamName, StreamStore as _},
};

pub async fn events_commit_or_roll_back_with_the_callers_transaction<F: Fixture>(f: &F) {
    for ends in ["rolled back", "committed"] {
        let mut tx = begin(f).await;
        let mut account: Loaded<Account> = f.store().load(&mut tx, "1").await.unwrap();
        let events = [opened("ada"), moved(500)];
        let appending = f.store().append(&mut tx, "1", &mut account, events);
        appending.await.unwrap();
        F::write(&mut tx, ends).await.unwrap();
        if ends == "committed" {
            commit(f, tx).await;
            break;
        }
        drop(tx);
        assert_eq!(loaded::<F, Account>(f, "1").await.version(), 0);
    }
    assert_eq!(loaded::<F, Account>(f, "1").await.version(), 2);
    assert_eq!(f.rows().await, ["committed"]);
}

pub async fn what_was_appended_is_loaded<F: Fixture>(f: &F) {
    let events: Vec<AccountEvent> = std::iter::once(opened("ada"))
        .chain((1..=20).map(moved))
        .collect();
    let mut tx = begin(f).await;
    let mut account = f
        .store()
        .create::<Account>(&mut tx, "1", [] as [AccountEvent; 0])
        .await
        .unwrap();
    // One alone, several, one alone; also seen in the transaction itself.
    for part in [0..1, 1..12, 12..21] {
        let part = events[part].to_vec();
        let appending = f.store().append(&mut tx, "1", &mut account, part);
        appending.await.unwrap();
        let again: Loaded<Account> = f.store().load(&mut tx, "1").await.unwrap();
        assert_eq!((&*again, again.version()), (&*account, account.version()));
    }
    commit(f, tx).await;
    let account = loaded::<F, Account>(f, "1").await;
    assert_eq!((account.version(), account.id()), (21, "1"));
    assert_eq!(account.into_state(), fold::<Account>(events));
}

pub async fn payloads_are_stored_as_they_were_written<F: Fixture>(f: &F) {
    let owner = "Ada \"λ\" O'Neil \u{0}\n\\ \u{1F980} 25000000000000000001";
    // Alone and among others: stores write them differently.
    appended::<F, Account>(f, "1", [opened(owner)]).await;
    appended::<F, Account>(f, "2", [opened(owner), opened(owner)]).await;
    let wanted = Balance {
        owner: owner.to_owned(),
        ..Balance::default()
    };
    for (id, version) in [("1", 1), ("2", 2)] {
        let account = loaded::<F, Account>(f, id).await;
        assert_eq!((&account.0, account.version()), (&wanted, version));
        let mut tx = begin(f).await;
        let stream = StreamName::of::<Account>(id).unwrap();
        let reading = f.store();
        let stored = reading.read_events(&mut tx, &stream, 0, 9).await.unwrap();
        let json = serde_json::json!({ "owner": owner }).to_string();
        for event in stored {
            assert_eq!((&*event.kind, event.schema_version), ("Opened", 1));
            assert_eq!(event.payload, json);
        }
    }
}

pub async fn a_conflict_is_told_before_the_commit_and_writes_nothing<F: Fixture>(f: &F) {
    // One event more, several more, and fewer than are to be appended.
    for (id, ahead, count) in [("1", 1, 1), ("2", 5, 1), ("3", 1, 3), ("4", 5, 3)] {
        let mut stale = appended::<F, Account>(f, id, [opened("ada")]).await;
        appended::<F, Account>(f, id, (0..ahead).map(moved)).await;

        let mut tx = begin(f).await;
        let before = stale.0.clone();
        let appending = f
            .store()
            .append(&mut tx, id, &mut stale, (0..count).map(moved));
        let refused = appending.await.unwrap_err();
        let Error::Conflict {
            stream,
            expected,
            actual,
        } = &refused
        else {
            panic!("{refused}");
        };
        let ahead = u64::try_from(ahead).unwrap();
        assert_eq!(
            (&**stream, *expected, *actual),
            (&*format!("account/{id}"), 1, 1 + ahead)
        );
        assert!(refused.is_retryable());
        assert_eq!((stale.0.clone(), stale.version()), (before, 1), "as it was");
        F::write(&mut tx, id).await.unwrap();
        commit(f, tx).await;

        let account = loaded::<F, Account>(f, id).await;
        assert_eq!(account.version(), 1 + ahead, "nothing was written");
    }
    assert_eq!(
        f.rows().await,
        ["1", "2", "3", "4"],
        "the transactions went on"
    );
}

pub async fn after_a_conflict_the_transaction_loads_and_appends_again<F: Fixture>(f: &F) {
    let mut stale = appended::<F, Account>(f, "1", [opened("ada")]).await;
    appended::<F, Account>(f, "1", [moved(1)]).await;
    let mut tx = begin(f).await;
    let appending = f.store().append(&mut tx, "1", &mut stale, [moved(2)]);
    appending.await.unwrap_err();
    let mut fresh: Loaded<Account> = f.store().load(&mut tx, "1").await.unwrap();
    let appending = f.store().append(&mut tx, "1", &mut fresh, [moved(3)]);
    appending.await.unwrap();
    commit(f, tx).await;
    let account = loaded::<F, Account>(f, "1").await;
    assert_eq!(account.0.notes, ["moved 1", "moved 3"]);
}

pub async fn appending_twice_from_one_load_conflicts<F: Fixture>(f: &F) {
    appended::<F, Account>(f, "1", [opened("ada")]).await;
    let mut tx = begin(f).await;
    let mut one: Loaded<Account> = f.store().load(&mut tx, "1").await.unwrap();
    let mut two: Loaded<Account> = f.store().load(&mut tx, "1").await.unwrap();
    let appending = f.store().append(&mut tx, "1", &mut one, [moved(1)]);
    appending.await.unwrap();
    let appending = f
        .store()
        .append(&mut tx, "1", &mut two, [moved(2), moved(3)]);
    let refused = appending.await.unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Conflict {
                expected: 1,
                actual: 2,
                ..
            }
        ),
        "{refused}"
    );
    // What was appended is part of what was loaded: it goes on from there.
    let appending = f.store().append(&mut tx, "1", &mut one, [moved(4)]);
    appending.await.unwrap();
    commit(f, tx).await;
    let account = loaded::<F, Account>(f, "1").await;
    assert_eq!((account.version(), account.0.cents), (3, 5));
}

pub async fn a_version_that_was_rolled_back_is_no_place_to_append_behind<F: Fixture>(f: &F) {
    for count in [1, 2] {
        let mut tx = begin(f).await;
        let mut account: Loaded<Account> = f.store().load(&mut tx, "1").await.unwrap();
        let appending = f
            .store()
            .append(&mut tx, "1", &mut account, [opened("ada")]);
        appending.await.unwrap();
        drop(tx);
        let mut tx = begin(f).await;
        let appending = f
            .store()
            .append(&mut tx, "1", &mut account, (0..count).map(moved));
        let refused = appending.await.unwrap_err();
        assert!(
            matches!(
                refused,
                Error::Conflict {
                    expected: 1,
                    actual: 0,
                    ..
                }
            ),
            "{refused}"
        );
        commit(f, tx).await;
        assert_eq!(loaded::<F, Account>(f, "1").await.version(), 0, "no gap");
    }
}

pub async fn an_append_without_events_does_nothing<F: Fixture>(f: &F) {
    let mut stale = appended::<F, Account>(f, "1", [opened("ada")]).await;
    appended::<F, Account>(f, "1", [moved(1)]).await;
    let mut tx = begin(f).await;
    let nothing: [AccountEvent; 0] = [];
    let appending = f.store().append(&mut tx, "1", &mut stale, nothing);
    appending.await.unwrap();
    commit(f, tx).await;
    assert_eq!(loaded::<F, Account>(f, "1").await.version(), 2);
}

pub async fn create_refuses_an_aggregate_that_exists<F: Fixture>(f: &F) {
    let mut tx = begin(f).await;
    let account: Loaded<Account> = f
        .store()
        .create(&mut tx, "1", [opened("ada")])
        .await
        .unwrap();
    assert_eq!((account.version(), &*account.0.owner), (1, "ada"));
    let again = f
        .store()
        .create::<Account>(&mut tx, "1", [opened("eve")])
        .await;
    let refused = again.unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Conflict {
                expected: 0,
                actual: 1,
                ..
            }
        ),
        "{refused}"
    );
    commit(f, tx).await;
    assert_eq!(loaded::<F, Account>(f, "1").await.0.owner, "ada");
}

pub async fn events_are_not_appended_to_another_aggregate_than_was_loaded<F: Fixture>(f: &F) {
    let mut one = appended::<F, Account>(f, "1", [opened("ada")]).await;
    appended::<F, Account>(f, "2", [opened("eve")]).await;
    let mut tx = begin(f).await;
    // Both are at version 1.
    let appending = f.store().append(&mut tx, "2", &mut one, [moved(1)]);
    let refused = appending.await.unwrap_err();
    let Error::OtherStream { loaded: was, given } = &refused else {
        panic!("{refused}");
    };
    assert_eq!((&**was, &**given), ("account/1", "account/2"));
    assert!(!refused.is_retryable());
    commit(f, tx).await;
    assert_eq!(loaded::<F, Account>(f, "2").await.version(), 1);
}

pub async fn ids_that_no_stream_can_have_are_refused<F: Fixture>(f: &F) {
    let long = "x".repeat(256);
    for id in ["", "a\nb", "a\0b", &long] {
        let mut tx = begin(f).await;
        let refused = f.store().load::<Account>(&mut tx, id).await.unwrap_err();
        assert!(matches!(refused, Error::InvalidId { .. }), "{refused}");
    }
    // Anything else is an id, a slash and a percent sign included.
    for id in ["a/b", "%", "ä ö", &long[..255]] {
        appended::<F, Account>(f, id, [opened(id)]).await;
        let account = loaded::<F, Account>(f, id).await;
        assert_eq!((account.id(), &*account.0.owner), (id, id));
    }
}

pub async fn positions_go_beyond_two_to_the_31<F: Fixture>(f: &F) {
    for far in [1_u64 << 31, (1 << 32) + 7, 1 << 62] {
        let id = far.to_string();
        let payload = r#"{"cents":1,"note":"far"}"#.to_owned();
        let at = SystemTime::UNIX_EPOCH;
        let event = StoredEvent::new(far, Moved::KIND.to_owned(), Moved::VERSION, payload, at);
        f.put(&format!("account/{id}"), event).await;
        for (ahead, count) in [(1, 1), (2, 3)] {
            appended::<F, Account>(f, &id, (0..count).map(moved)).await;
            let account = loaded::<F, Account>(f, &id).await;
            let wanted = far + ahead + u64::try_from(count).unwrap() - 1;
            assert_eq!(account.version(), wanted);
        }
        let mut tx = begin(f).await;
        let history = f
            .store()
            .history::<Account>(&mut tx, &id, far + 2, 9)
            .await
            .unwrap();
        let versions: Vec<u64> = history.iter().map(|recorded| recorded.version).collect();
        assert_eq!(versions, [far + 3, far + 4]);
    }
}
