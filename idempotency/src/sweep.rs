//! Removing what has expired.

mod sweeper;

use std::sync::Arc;

use async_trait::async_trait;

use crate::Error;

pub use sweeper::{Status, Sweeper, SweeperHandle};

/// A store that keeps answers beyond their lifetime until they are swept.
#[async_trait]
pub trait Sweep: Send + Sync + 'static {
    /// Deletes up to `limit` answers whose lifetime has ended, oldest first, and says how many.
    ///
    /// # Behaviour
    /// - Runs in a short transaction of its own.
    /// - Never deletes a key that is being processed, nor waits for one.
    /// - Decides by the store's clock.
    ///
    /// # Cancel safety
    /// Cancel safe: the step happened or not.
    async fn sweep(&self, limit: u32) -> Result<u64, Error>;
}

#[async_trait]
impl<S: Sweep + ?Sized> Sweep for Arc<S> {
    async fn sweep(&self, limit: u32) -> Result<u64, Error> {
        (**self).sweep(limit).await
    }
}
