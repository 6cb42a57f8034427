//! What is read of what was stored.

use std::time::SystemTime;

use super::{
    Fixture,
    accounts::{Account, AccountEvent, AccountLine, Accounts, appended, loaded, moved, opened},
    begin,
};
use crate::{Aggregate, Error, EventStore as _, store::StoredEvent};

/// An event as it was once stored.
pub(super) fn stored(version: u64, kind: &str, schema: u32, payload: &str) -> StoredEvent {
    let at = SystemTime::UNIX_EPOCH;
    StoredEvent::new(version, kind.to_owned(), schema, payload.to_owned(), at)
}

pub async fn every_stored_version_decodes<F: Fixture>(f: &F) {
    for (version, schema, payload) in [
        (1, 1, r#"{"dollars":12}"#),
        (2, 2, r#"{"cents":34}"#),
        (3, 3, r#"{"cents":5,"note":"of this build"}"#),
        // A later build of the same version added a member.
        (4, 3, r#"{"cents":6,"note":"n","by":"eve"}"#),
    ] {
        let event = stored(version, "Moved", schema, payload);
        f.put("account/1", event).await;
    }
    let account = loaded::<F, Account>(f, "1").await;
    assert_eq!((account.version(), account.0.cents), (4, 1_245));
    let older = "of an older build";
    assert_eq!(account.0.notes, [older, older, "of this build", "n"]);
}

pub async fn an_unreadable_event_names_stream_and_version<F: Fixture>(f: &F) {
    for (id, kind, schema, payload, says) in [
        (
            "kind",
            "Closed",
            1,
            "{}",
            r#"AccountEvent has no event of the kind "Closed""#,
        ),
        ("newer", "Moved", 4, "{}", "this build knows 1 to 3"),
        ("zero", "Moved", 0, "{}", "version 0"),
        ("damaged", "Opened", 1, "{", "does not decode"),
        ("upcaster", "Moved", 1, "{}", "`dollars`"),
    ] {
        appended::<F, Account>(f, id, [opened("ada"), moved(1)]).await;
        f.put(&format!("account/{id}"), stored(3, kind, schema, payload))
            .await;
        f.put(
            &format!("account/{id}"),
            stored(4, "Opened", 1, r#"{"owner":"eve"}"#),
        )
        .await;
        let mut tx = begin(f).await;
        let loading = f.store().load::<Account>(&mut tx, id).await.map(|_| ());
        let reading = f.store().history::<Account>(&mut tx, id, 0, 9).await;
        for refused in [loading.unwrap_err(), reading.unwrap_err()] {
            let Error::Unreadable {
                stream, version, ..
            } = &refused
            else {
                panic!("{refused}");
            };
            assert_eq!((&**stream, *version), (&*format!("account/{id}"), 3));
            assert!(!refused.is_retryable());
            let text = refused.to_string();
            assert!(text.contains(says), "{text}");
        }
        // What is before it and after it can be read.
        let before = f
            .store()
            .history::<Account>(&mut tx, id, 0, 2)
            .await
            .unwrap();
        let after = f
            .store()
            .history::<Account>(&mut tx, id, 3, 2)
            .await
            .unwrap();
        assert_eq!((before.len(), after.len()), (2, 1));
    }
}

pub async fn streams_with_names_alike_never_meet<F: Fixture>(f: &F) {
    async fn put<F: Fixture, A: Aggregate<Event = AccountEvent>>(f: &F, ids: &[&str]) {
        for id in ids {
            let name = format!("{}/{id}", A::STREAM);
            appended::<F, A>(f, id, [opened(&name)]).await;
        }
    }
    let ids = ["1", "10", "1/1", "A", "a", "a ", "ä", "a\u{308}", "_", "%"];
    put::<F, Account>(f, &ids).await;
    put::<F, AccountLine>(f, &ids).await;
    put::<F, Accounts>(f, &ids).await;
    for id in ids {
        let account = loaded::<F, Account>(f, id).await;
        assert_eq!(
            (account.version(), account.0.owner.clone()),
            (1, format!("account/{id}"))
        );
        let line = loaded::<F, AccountLine>(f, id).await;
        assert_eq!(
            (line.version(), line.0.owner.clone()),
            (1, format!("account-line/{id}"))
        );
        let accounts = loaded::<F, Accounts>(f, id).await;
        assert_eq!(
            (accounts.version(), accounts.0.owner.clone()),
            (1, format!("accounts/{id}"))
        );
    }
}

pub async fn history_is_read_in_pages_with_times<F: Fixture>(f: &F) {
    appended::<F, Account>(f, "1", [opened("ada"), moved(1)]).await;
    appended::<F, Account>(f, "1", [moved(2)]).await;
    appended::<F, Account>(f, "2", [opened("eve")]).await;
    let mut tx = begin(f).await;
    let (store, mut after, mut read) = (f.store(), 0, Vec::new());
    loop {
        let page = store
            .history::<Account>(&mut tx, "1", after, 2)
            .await
            .unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = last.version;
        read.extend(page);
    }
    let events: Vec<_> = read.iter().map(|recorded| recorded.event.clone()).collect();
    assert_eq!(events, [opened("ada"), moved(1), moved(2)]);
    let versions: Vec<u64> = read.iter().map(|recorded| recorded.version).collect();
    assert_eq!(versions, [1, 2, 3]);
    assert!(read.iter().all(|recorded| &*recorded.id == "1"));
    let times: Vec<_> = read.iter().map(|recorded| recorded.recorded_at).collect();
    assert!(times[0] > SystemTime::UNIX_EPOCH);
    assert_eq!(times[0], times[1], "of one append");
}

pub async fn an_aggregate_without_events_is_the_default<F: Fixture>(f: &F) {
    let account = loaded::<F, Account>(f, "1").await;
    assert_eq!(
        (account.version(), account.into_state()),
        (0, Account::default())
    );
    let mut tx = begin(f).await;
    let history = f.store().history::<Account>(&mut tx, "1", 0, 9).await;
    assert_eq!(history.unwrap(), []);
}
