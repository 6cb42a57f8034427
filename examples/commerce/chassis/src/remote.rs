//! The role of a system that is not ours: calls go out, answers may come back.

use async_trait::async_trait;

/// A third party. What it did it has done, whatever becomes of our own transaction.
#[async_trait]
pub trait Remote: Send + Sync + 'static {
    /// What it is asked.
    type Call: Send + 'static;
    /// What it answers; that no answer came is an answer, too.
    type Answer: Send + 'static;

    /// Asks.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown what was done: ask again with the same key.
    async fn call(&self, call: Self::Call) -> Self::Answer;
}
