//! Dropping a future where it waits.

use std::{future::poll_fn, task::Poll};

/// Runs `future` until it suspends for the `polls`-th time or ends, and drops it; 0 never begins it.
///
/// # Cancel safety
/// Dropping this drops `future` where it is.
pub async fn after_polls<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let (mut left, mut future) = (polls, Box::pin(future));
    poll_fn(move |context| {
        if left > 0
            && let Poll::Ready(output) = future.as_mut().poll(context)
        {
            return Poll::Ready(Some(output));
        }
        left = left.saturating_sub(1);
        if left == 0 {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}
