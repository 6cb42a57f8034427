//! Work that takes long, on a thread of its own: the runtime has few.

use std::future::Future;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::error::Failure;

/// Does the work until `closing`. What it comes to is told to `then`, even if it panics.
pub(super) fn start<T, F>(
    work: impl FnOnce() -> F + Send + 'static,
    closing: CancellationToken,
    then: impl FnOnce(Result<T, Failure>) + Send + 'static,
) where
    T: Send + 'static,
    F: Future<Output = Result<T, Failure>>,
{
    let runtime = Handle::current();
    let working = tokio::task::spawn_blocking(move || {
        runtime.block_on(async move {
            tokio::select! {
                () = closing.cancelled() => Err(Failure::plain("the shop closes")),
                done = work() => done,
            }
        })
    });
    tokio::spawn(async move {
        let failed = |error| Err(Failure::new("the work ended early", &error));
        then(working.await.unwrap_or_else(failed));
    });
}
