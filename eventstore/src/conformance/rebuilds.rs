//! What a rebuild makes of a projection.

use std::{collections::BTreeSet, marker::PhantomData, sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_clock::Backoff;
use tokio::sync::watch;

use super::{
    ConnectionOf, Fixture,
    accounts::{Account, AccountEvent, AccountLine, Accounts, appended, moved, opened},
    in_time,
    reads::stored,
};
use crate::{Error, Progress, Projection, ProjectionError, Rebuild, Recorded};

/// Writes a row `id@version` for each event.
pub(super) struct Listing<F, const SHAPE: u32> {
    script: Arc<Script>,
    fixture: PhantomData<fn() -> F>,
}

/// What a listing does, and what it was given.
pub(super) struct Script {
    /// Events of each call.
    calls: watch::Sender<Vec<usize>>,
    fails: Fails,
    /// Which call fails, from 1; 0: none.
    at: usize,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fails {
    ForGood,
    Once,
    /// It never answers.
    Hangs,
}

impl Script {
    pub(super) fn plain() -> Arc<Self> {
        Self::failing(Fails::Once, 0)
    }

    pub(super) fn failing(fails: Fails, at: usize) -> Arc<Self> {
        let (calls, _) = watch::channel(Vec::new());
        Arc::new(Self { calls, fails, at })
    }

    pub(super) fn calls(&self) -> Vec<usize> {
        self.calls.borrow().clone()
    }

    /// Completes once there were so many calls.
    pub(super) async fn after(&self, calls: usize) {
        let mut seen = self.calls.subscribe();
        seen.wait_for(|seen| seen.len() >= calls).await.unwrap();
    }
}

#[async_trait]
impl<F: Fixture, const SHAPE: u32> Projection<ConnectionOf<F>> for Listing<F, SHAPE> {
    const NAME: &'static str = "listing";
    const SHAPE: u32 = SHAPE;
    type Aggregate = Account;

    async fn reset(&self, connection: &mut ConnectionOf<F>) -> Result<(), ProjectionError> {
        Ok(F::clear(connection).await?)
    }

    async fn project(
        &self,
        connection: &mut ConnectionOf<F>,
        events: &[Recorded<AccountEvent>],
    ) -> Result<(), ProjectionError> {
        for recorded in events {
            let row = format!("{}@{}", recorded.id, recorded.version);
            F::write(connection, &row).await?;
        }
        self.script
            .calls
            .send_modify(|calls| calls.push(events.len()));
        if self.script.calls().len() == self.script.at {
            match self.script.fails {
                Fails::ForGood => return Err("it does not add up".into()),
                Fails::Once => {
                    let away = "the network".into();
                    return Err(mainstay_database::Error::Unavailable(away).into());
                }
                Fails::Hangs => std::future::pending().await,
            }
        }
        Ok(())
    }
}

/// A rebuild of the listing of this shape, two events a step.
pub(super) fn rebuild<F: Fixture, const SHAPE: u32>(
    f: &F,
    script: &Arc<Script>,
) -> Rebuild<F::Store, Arc<Listing<F, SHAPE>>> {
    let listing = Listing {
        script: Arc::clone(script),
        fixture: PhantomData,
    };
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
    let rebuild = Rebuild::new(f.store().clone(), Arc::new(listing));
    rebuild.batch_size(2).backoff(backoff)
}

/// Runs it to its end.
pub(super) async fn run<F: Fixture, const SHAPE: u32>(
    f: &F,
    script: &Arc<Script>,
) -> Result<Progress, Error> {
    let rebuild = rebuild::<F, SHAPE>(f, script);
    in_time(rebuild.run_until(std::future::pending())).await
}

/// Streams of several lengths, and others between, before and behind them. Returns the rows of all
/// their events.
pub(super) async fn streams<F: Fixture>(f: &F) -> Vec<String> {
    let mut wanted = BTreeSet::new();
    for (id, count) in [("d", 1), ("a", 3), ("c", 7), ("b/1", 2)] {
        let events = std::iter::once(opened(id)).chain((1..count).map(moved));
        appended::<F, Account>(f, id, events).await;
        for version in 1..=count {
            wanted.insert((format!("account/{id}"), version));
        }
        appended::<F, AccountLine>(f, id, [opened(id)]).await;
        appended::<F, Accounts>(f, id, [opened(id)]).await;
    }
    wanted
        .into_iter()
        .map(|(stream, version)| format!("{}@{version}", &stream["account/".len()..]))
        .collect()
}

pub async fn a_rebuild_gives_each_event_once_and_in_order<F: Fixture>(f: &F) {
    let wanted = streams(f).await;
    let progress = run::<F, 1>(f, &Script::plain()).await.unwrap();
    assert!(progress.is_done);
    assert_eq!((progress.events, progress.total), (13, 13));
    assert_eq!(f.rows().await, wanted);
}

pub async fn a_rebuild_reads_the_streams_of_its_aggregate_only<F: Fixture>(f: &F) {
    for id in ["1", "2"] {
        appended::<F, AccountLine>(f, id, [opened(id)]).await;
        appended::<F, Accounts>(f, id, [opened(id)]).await;
    }
    let progress = run::<F, 1>(f, &Script::plain()).await.unwrap();
    assert_eq!(
        (progress.events, progress.total, progress.is_done),
        (0, 0, true)
    );
    assert!(f.rows().await.is_empty());
}

pub async fn a_rebuild_that_is_done_is_left_alone<F: Fixture>(f: &F) {
    let wanted = streams(f).await;
    let script = Script::plain();
    let first = run::<F, 1>(f, &script).await.unwrap();
    let calls = script.calls();
    // From now on the projection is others' to write.
    appended::<F, Account>(f, "e", [opened("e")]).await;
    assert_eq!(run::<F, 1>(f, &script).await.unwrap(), first);
    assert_eq!((script.calls(), f.rows().await), (calls, wanted));
}

pub async fn a_higher_shape_begins_anew_and_a_lower_one_is_refused<F: Fixture>(f: &F) {
    let mut wanted = streams(f).await;
    let first = run::<F, 1>(f, &Script::plain()).await.unwrap();
    assert!(first.is_done);
    appended::<F, Account>(f, "e", [opened("e")]).await;
    wanted.push("e@1".to_owned());
    let progress = run::<F, 2>(f, &Script::plain()).await.unwrap();
    assert_eq!((progress.events, progress.total), (14, 14));
    assert_eq!(f.rows().await, wanted, "emptied before");
    let refused = run::<F, 1>(f, &Script::plain()).await.unwrap_err();
    assert!(
        matches!(
            refused,
            Error::NewerProjection {
                projection: "listing",
                found: 2,
                known: 1
            }
        ),
        "{refused}"
    );
    assert_eq!(f.rows().await, wanted);
}

pub async fn a_restarted_rebuild_begins_anew<F: Fixture>(f: &F) {
    let wanted = streams(f).await;
    let script = Script::plain();
    let first = run::<F, 1>(f, &script).await.unwrap();
    assert!(first.is_done);
    let calls = script.calls().len();
    rebuild::<F, 1>(f, &script).restart().await.unwrap();
    let progress = run::<F, 1>(f, &script).await.unwrap();
    assert_eq!((progress.events, progress.is_done), (13, true));
    assert_eq!((script.calls().len(), f.rows().await), (2 * calls, wanted));
}

pub async fn an_unreadable_event_stops_a_rebuild_and_is_named<F: Fixture>(f: &F) {
    streams(f).await;
    let event = stored(3, "Closed", 1, "{}");
    f.put("account/b/1", event).await;
    let script = Script::plain();
    let rebuild = rebuild::<F, 1>(f, &script);
    let refused = in_time(rebuild.run_until(std::future::pending())).await;
    let refused = refused.unwrap_err();
    let Error::Unreadable {
        stream, version, ..
    } = &refused
    else {
        panic!("{refused}");
    };
    assert_eq!((&**stream, *version), ("account/b/1", 3));
    assert_eq!(f.rows().await, ["a@1", "a@2", "a@3", "b/1@1"]);
    let status = rebuild.status();
    assert_eq!(status.progress.events, 4);
    assert_eq!(status.last_error.as_deref(), Some(&*refused.to_string()));
}

pub async fn a_step_is_bounded_in_events_and_bytes<F: Fixture>(f: &F) {
    let events = (0..10).map(|_| opened(&"x".repeat(1_000)));
    appended::<F, Account>(f, "1", events).await;
    for (events, bytes, wanted) in [
        (3, u64::MAX, vec![3, 3, 3, 1]),
        // The event that reaches the limit is the last one.
        (100, 3_500, vec![4, 4, 2]),
        (100, 0, vec![1; 10]),
    ] {
        let script = Script::plain();
        let rebuild = rebuild::<F, 1>(f, &script);
        rebuild.restart().await.unwrap();
        let rebuild = rebuild.batch_size(events).batch_bytes(bytes);
        let progress = in_time(rebuild.run_until(std::future::pending())).await;
        assert_eq!(progress.unwrap().events, 10);
        assert_eq!(script.calls(), wanted);
    }
}
