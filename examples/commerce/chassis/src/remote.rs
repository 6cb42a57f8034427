//! The role of a third-party system.

use async_trait::async_trait;

/// A third-party system. A rollback of our own transaction does not undo its effects.
#[async_trait]
pub trait Remote: Send + Sync + 'static {
    /// A call.
    type Call: Send + 'static;
    /// An answer; a lost answer is one of them.
    type Answer: Send + 'static;

    /// Calls the system.
    ///
    /// # Cancel safety
    /// If the future is dropped, the effect is unknown: call again with the same key.
    async fn call(&self, call: Self::Call) -> Self::Answer;
}
