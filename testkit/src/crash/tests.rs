use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::task::yield_now;

use super::{Points, Reached, after_polls, at_every_point};

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

#[tokio::test]
async fn a_run_that_meets_fewer_points_by_chance_leaves_no_later_point_untried() {
    let tried = AtomicUsize::new(0);
    let last = at_every_point("one short run", async |point| {
        // Another thread had answered before it would have suspended.
        if point == 2 {
            return Reached::End;
        }
        let reached = after_polls(point, three_steps(&AtomicUsize::new(0))).await;
        tried.fetch_add(usize::from(reached.is_none()), SeqCst);
        Reached::of(reached.as_ref())
    });
    assert_eq!(last.await, 3);
    assert_eq!(tried.load(SeqCst), 2);
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
    let expected = [
        ("before:work:1", 0, 0),
        ("within:work:1", 1, 0),
        ("within:work:1", 1, 0),
        ("after:work:1", 1, 1),
        ("before:work:2", 1, 1),
        ("after:work:2", 2, 2),
    ];
    let tried = at_every_point("two calls", async |nth| {
        let (points, began, ended) = (
            Points::anywhere(nth),
            AtomicUsize::new(0),
            AtomicUsize::new(0),
        );
        let output = points.until_struck(calls(&points, &began, &ended)).await;
        if let Some((point, begun, done)) = expected.get(nth - 1).copied() {
            assert_eq!(points.struck().as_deref(), Some(point));
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
    assert_eq!(points.struck().as_deref(), Some("before:work:1"));
    other.abort();
}
