//! What blocks a thread, away from the test's own.

use crate::{Error, error::At as _};

/// On a thread that may block.
pub(crate) async fn elsewhere<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(act)
        .await
        .at("waiting for the server")?
}
