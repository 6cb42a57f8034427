//! Which functions are handlers, and for code that is generic over handlers and workers.

use mainstay_inbox::HandlerError;

pub use crate::orchestrator::Replies;

/// Marks a handler that takes no state.
#[derive(Debug)]
#[non_exhaustive]
pub struct WithoutState;

/// Marks a handler that takes the state given with `with_state`.
#[derive(Debug)]
#[non_exhaustive]
pub struct WithState;

/// A function that carries out a step, or its undo. `E` is the command, or a
/// [`Received`](mainstay_inbox::Received) one at a participant.
///
/// Implemented for `async fn(&mut C, E)` and `async fn(&mut C, E, T)` that return `Result<R,
/// HandlerError>`. `M` tells the two shapes apart and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of the step `{E}` on the connection `{C}`",
    note = "a handler is `async fn(&mut {C}, {E}) -> Result<{R}, HandlerError>`",
    note = "or takes the state as a third argument: `async fn(&mut {C}, {E}, {T}) -> Result<{R}, HandlerError>`",
    note = "its future must be `Send`; give the state with `with_state` before registering the handler"
)]
pub trait StepFn<'a, C: 'a, T, E, R, M>: Send + Sync {
    /// What the function returns.
    type Future: Future<Output = Result<R, HandlerError>> + Send + 'a;

    /// Calls the function, with a clone of the state if it takes one.
    fn call(&self, state: &T, connection: &'a mut C, command: E) -> Self::Future;
}

impl<'a, C: 'a, T, E, R, F, Fut> StepFn<'a, C, T, E, R, WithoutState> for F
where
    F: Fn(&'a mut C, E) -> Fut + Send + Sync,
    Fut: Future<Output = Result<R, HandlerError>> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, _: &T, connection: &'a mut C, command: E) -> Fut {
        self(connection, command)
    }
}

impl<'a, C: 'a, T: Clone, E, R, F, Fut> StepFn<'a, C, T, E, R, WithState> for F
where
    F: Fn(&'a mut C, E, T) -> Fut + Send + Sync,
    Fut: Future<Output = Result<R, HandlerError>> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, state: &T, connection: &'a mut C, command: E) -> Fut {
        self(connection, command, state.clone())
    }
}
