//! Dropping a future where it waits.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

/// Runs `future` until it suspends for the `polls`-th time (or to its end), and drops it there; 0 never begins it.
///
/// It is polled when it is woken, so each time it suspends is a point of its own.
///
/// # Cancel safety
/// Dropping this drops `future` where it is.
pub async fn after_polls<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut left = polls;
    let mut future = Box::pin(future);
    poll_fn(move |context: &mut Context<'_>| {
        if left == 0 {
            return Poll::Ready(None);
        }
        let ended = Pin::as_mut(&mut future).poll(context).map(Some);
        left -= 1;
        if left == 0 && ended.is_pending() {
            return Poll::Ready(None);
        }
        ended
    })
    .await
}
