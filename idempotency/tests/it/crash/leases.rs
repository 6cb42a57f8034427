//! A process that dies under a lease, and calls that are dropped at every await.

use std::{cell::Cell, sync::Arc, time::Duration};

use mainstay_idempotency::{
    Answer, Begun, Error, KeyedRequest, Lease, Leases, Operations, Outcome, Settled,
    conformance::LeasesFixture,
};
use mainstay_ports::Ports;
use mainstay_testkit::crash::{Points, Reached, after_polls, at_every_point};

use super::{PATIENCE, answer, request};

/// Ends soon after its holder died.
const LEASE: Duration = Duration::from_millis(300);

/// No test takes so long.
const LONG: Duration = Duration::from_secs(600);

/// Runs the operation, whose work is a call of its own, until it has an answer.
async fn operate<L: Leases + Clone>(
    operations: &Operations<L>,
    points: &Arc<Points>,
    request: &KeyedRequest,
    name: &str,
) -> Answer {
    loop {
        let (points, made) = (Arc::clone(points), answer(name));
        let work = move |_: Lease| async move {
            Ok::<_, std::io::Error>(points.call("work", async { made }).await)
        };
        match operations.run(request.clone(), work).await {
            Ok(Outcome::Fresh(answer) | Outcome::Settled(Settled::Done(answer))) => return answer,
            Ok(Outcome::Settled(_)) | Err(_) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

async fn operations_at_every_point<F: LeasesFixture>(
    f: F,
    backend: &str,
    strike: fn(usize) -> Arc<Points>,
) {
    let (what, calls) = (format!("{backend}: an operation"), Cell::default());
    let leases = f.leases().await;
    let points = at_every_point(&what, async |nth| {
        let (request, points) = (request(&format!("k{nth}")), strike(nth));
        let dying = Ports::new(Arc::new(leases.clone()), &points);
        let dying = Operations::new(Arc::new(dying))
            .clock(f.clock())
            .lease(LEASE);
        let running = operate(&dying, &points, &request, "first");
        let heard = points.until_struck(running).await;
        calls.set(points.calls());
        let others = Operations::new(leases.clone())
            .clock(f.clock())
            .lease(LEASE);
        let none = Points::none();
        let finishing = operate(&others, &none, &request, "second");
        let kept = tokio::time::timeout(PATIENCE, finishing).await.unwrap();
        if let Some(heard) = &heard {
            assert_eq!(*heard, kept, "what was answered stays the answer");
        }
        Reached::of(heard.map(Ok::<_, ()>).as_ref())
    })
    .await;
    let calls = calls.take();
    println!("{what}: struck at {points} points; calls of a run to the end: {calls:?}");
    assert!(calls["begin"] >= 1 && calls["work"] >= 1 && calls["complete"] >= 1);
    assert!(points >= 6, "{points} points");
}

async fn lease<L: Leases>(leases: &L, request: &KeyedRequest, time: Duration) -> Lease {
    match leases.begin(request, time).await.unwrap() {
        Begun::Fresh(lease) => lease,
        Begun::Settled(settled) => panic!("{settled:?}"),
    }
}

/// Drops each call when it suspends for the first, second, … time, until it comes to its end. What
/// is there then is as if it had been made, or as if it had not.
async fn calls_dropped_at_every_await<F: LeasesFixture>(f: F, backend: &str) {
    let leases = f.leases().await;
    let mut dropped = 0;
    for polls in 0.. {
        let request = request(&format!("begin-{polls}"));
        let begun = after_polls(polls, leases.begin(&request, LEASE / 3)).await;
        // It is leased to nobody, at most until that lease ends.
        let taking = async {
            while let Begun::Settled(settled) = leases.begin(&request, LONG).await.unwrap() {
                assert!(matches!(settled, Settled::Running { .. }), "{settled:?}");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, taking).await.unwrap();
        if begun.is_some() {
            break;
        }
        dropped += 1;
    }
    for polls in 0.. {
        let request = request(&format!("renew-{polls}"));
        let held = lease(&leases, &request, LONG).await;
        let renewed = after_polls(polls, leases.renew(&held, LONG)).await;
        leases.complete(&held, &answer("made")).await.unwrap();
        if renewed.is_some() {
            break;
        }
        dropped += 1;
    }
    for polls in 0.. {
        let request = request(&format!("complete-{polls}"));
        let (held, made) = (lease(&leases, &request, LONG).await, answer("made"));
        let completed = after_polls(polls, leases.complete(&held, &made)).await;
        leases.complete(&held, &made).await.unwrap();
        let begun = leases.begin(&request, LONG).await.unwrap();
        assert!(matches!(begun, Begun::Settled(Settled::Done(answer)) if answer == made));
        if completed.is_some() {
            break;
        }
        dropped += 1;
    }
    for polls in 0.. {
        let request = request(&format!("release-{polls}"));
        let held = lease(&leases, &request, LONG).await;
        let released = after_polls(polls, leases.release(&held)).await;
        leases.release(&held).await.unwrap();
        let next = lease(&leases, &request, LONG).await;
        assert!(next.token() > held.token());
        let late: Result<(), Error> = leases.release(&held).await;
        assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
        if released.is_some() {
            break;
        }
        dropped += 1;
    }
    println!("{backend}: {dropped} calls dropped");
    assert!(dropped >= 4, "none was dropped in the middle");
}

#[cfg(feature = "memory")]
#[tokio::test]
async fn an_operation_has_one_answer_wherever_its_process_dies_in_memory() {
    let f = crate::memory::Leased::new();
    operations_at_every_point(f, "memory", Points::anywhere).await;
}

#[cfg(feature = "memory")]
#[tokio::test]
async fn a_call_that_is_dropped_was_made_or_not_in_memory() {
    calls_dropped_at_every_await(crate::memory::Leased::new(), "memory").await;
}

#[cfg(all(feature = "axum", feature = "redis"))]
mod redis {
    use super::*;

    #[tokio::test]
    async fn an_operation_has_one_answer_wherever_its_process_dies() {
        if let Some(f) = crate::redis::fixture().await {
            operations_at_every_point(f, "redis", Points::anywhere).await;
        }
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_was_made_or_not() {
        if let Some(f) = crate::redis::fixture().await {
            calls_dropped_at_every_await(f, "redis").await;
        }
    }
}
