use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::task::yield_now;

use super::{Moment, Point, Points, Reached, after_polls, at_every_point};

async fn three_steps(done: &AtomicUsize) {
    for _ in 0..3 {
        done.fetch_add(1, SeqCst);
        yield_now().await;
    }
}

#[tokio::test]
async fn a_future_is_dropped_where_it_suspends_for_the_nth_time() {
    for (polls, done, ended) in [(0, 0, false), (1, 1, false), (3, 3, false), (4, 3, true)] {
        let steps = AtomicUsize::new(0);
        let output = after_polls(polls, three_steps(&steps)).await;
        assert_eq!((steps.load(SeqCst), output.is_some()), (done, ended));
    }
}

#[tokio::test]
async fn points_are_tried_until_a_run_gets_to_its_end() {
    let tried = at_every_point("three steps", async |point| {
        Reached::of(
            after_polls(point, three_steps(&AtomicUsize::new(0)))
                .await
                .as_ref(),
        )
    });
    assert_eq!(tried.await, 3);
}

/// Two calls, the first of which waits twice.
async fn calls(points: &Points, began: &AtomicUsize, ended: &AtomicUsize) {
    for waits in [2, 0] {
        let work = async {
            began.fetch_add(1, SeqCst);
            for _ in 0..waits {
                yield_now().await;
            }
            ended.fetch_add(1, SeqCst);
        };
        points.call("work", work).await;
    }
}

#[tokio::test]
async fn a_run_is_struck_before_within_and_after_each_call() {
    use Moment::{After, Before, Within};
    let expected = [
        (Before, 1, 0, 0),
        (Within, 1, 1, 0),
        (Within, 1, 1, 0),
        (After, 1, 1, 1),
        (Before, 2, 1, 1),
        (After, 2, 2, 2),
    ];
    let tried = at_every_point("two calls", async |nth| {
        let (points, began, ended) = (
            Points::anywhere(nth),
            AtomicUsize::new(0),
            AtomicUsize::new(0),
        );
        let output = points.until_struck(calls(&points, &began, &ended)).await;
        if let Some((moment, call, begun, done)) = expected.get(nth - 1).copied() {
            let struck = points.struck().unwrap();
            assert_eq!((struck.moment, struck.call), (moment, call));
            assert_eq!((began.load(SeqCst), ended.load(SeqCst)), (begun, done));
        }
        Reached::of(output.as_ref())
    });
    assert_eq!(tried.await, expected.len());
}

#[tokio::test]
async fn whoever_else_belongs_to_the_run_calls_nothing_any_more() {
    let (points, made) = (Points::around_calls(1), Arc::new(AtomicUsize::new(0)));
    let other = tokio::spawn({
        let (points, made) = (Arc::clone(&points), Arc::clone(&made));
        async move {
            for _ in 0..10 {
                yield_now().await;
            }
            points
                .call("other", async { made.fetch_add(1, SeqCst) })
                .await;
        }
    });
    let run = points.call("work", async {});
    assert_eq!(points.until_struck(run).await, None);
    for _ in 0..100 {
        yield_now().await;
    }
    assert_eq!(made.load(SeqCst), 0);
    assert_eq!(points.struck().unwrap().to_string(), "before:work:1");
    other.abort();
}

#[test]
fn points_are_read_as_they_are_written() {
    for name in ["before:record:3", "within:fetch:1", "after:commit:12"] {
        assert_eq!(name.parse::<Point>().unwrap().to_string(), name);
    }
    for name in [
        "",
        "record:3",
        "between:record:3",
        "before:record:0",
        "before::1",
        "before:x:y",
    ] {
        assert!(name.parse::<Point>().is_err(), "{name}");
    }
}
