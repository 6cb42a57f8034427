//! A point at which other tasks may run.

use std::{future::poll_fn, task::Poll};

/// Lets other tasks run first. Otherwise a transaction that never waits would run as one step of a
/// single-threaded test, and no test would ever see two transactions interleave.
pub(super) async fn pause() {
    let mut paused = false;
    poll_fn(|context| {
        if paused {
            return Poll::Ready(());
        }
        paused = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
