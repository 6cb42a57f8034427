//! A worker that dies at every point of its work, and what is there when another one goes on.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests, and how much was tried belongs to the result"
)]
#![expect(clippy::future_not_send, reason = "they are awaited in tests")]

mod member;
#[cfg(feature = "memory")]
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod scene;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::{cell::Cell, sync::Arc};

use async_trait::async_trait;
use mainstay_inbox::{Worker, conformance::Fixture};
use mainstay_messaging::{Group, Topic};
use mainstay_ports::{InboxPorts, Ports};
use mainstay_testkit::crash::{Points, Reached, at_every_point};

use member::Member;
use scene::{Handling, Scene};

/// The worker of a scene.
type Struck<F> = Worker<InboxPorts<<F as Fixture>::Inbox>, Ports<Member<F>>, Handling<F>>;

/// A service that outlives its processes.
#[async_trait]
trait Service: Fixture {
    /// Waits until what a dead process had under way has ended, and its membership of `group` has.
    async fn outlive(&self, group: &Group, topic: &Topic);

    /// A worker's clock.
    fn timed(&self, worker: Struck<Self>) -> Struck<Self>
    where
        Self: Sized,
    {
        worker
    }
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
type Calls = std::collections::BTreeMap<&'static str, usize>;

/// Strikes a worker at each call of a port, on the same database again and again.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
async fn work_at_every_call<F: Service>(service: F, backend: &str, batch: usize) {
    let (service, calls) = (Arc::new(service), Cell::<Option<Calls>>::default());
    let what = format!("{backend}: worker, batches of {batch}");
    let points = at_every_point(&what, async |nth| {
        let scene = Scene::published(Arc::clone(&service), &format!("{batch}-{nth}-")).await;
        let points = Points::around_calls(nth);
        let worked = points.until_struck(scene.work(&points, batch)).await;
        service.outlive(scene.group(), scene.topic()).await;
        scene.finish(batch).await;
        if worked.is_some() {
            // Several runs get to their end. One may look once more than another.
            let ended = calls.take().into_iter().chain([points.calls()]);
            calls.set(ended.min_by_key(|calls| calls.values().sum::<usize>()));
        }
        Reached::of(worked.as_ref())
    })
    .await;
    let calls = calls.take().unwrap();
    println!("{what}: struck at {points} points; calls of a run to the end: {calls:?}");
    // A message that fails twice takes three transactions, whatever else goes along.
    assert!(
        calls["begin"] >= 3 && calls["handle"] >= scene::MESSAGES,
        "{calls:?}"
    );
    assert!(points >= 2 * (calls["begin"] + calls["admit_batch"] + calls["handle"]));
}
