//! Which functions are handlers.

use super::{HandlerError, Received};

/// Marks a handler that takes no state.
#[derive(Debug)]
#[non_exhaustive]
pub struct WithoutState;

/// Marks a handler that takes the state given with `with_state`.
#[derive(Debug)]
#[non_exhaustive]
pub struct WithState;

/// A function that handles one event.
///
/// Implemented for `async fn(&mut C, Received<E>)` and `async fn(&mut C, Received<E>, S)` that
/// return `Result<(), HandlerError>`, and for async closures of these shapes that capture nothing:
/// what a handler needs comes as state. `M` tells the two shapes apart and is always inferred.
///
/// The lifetime is the connection's. It stands on the trait because the future borrows the
/// connection, which a plain bound on `Fn` cannot say.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of one event on this worker's connection `{C}` and state `{S}`",
    note = "a handler is `async fn(&mut {C}, Received<E>) -> Result<(), HandlerError>`",
    note = "or takes the state as a third argument: `async fn(&mut {C}, Received<E>, {S}) -> Result<(), HandlerError>`",
    note = "its future must be `Send`; give the state with `with_state` before registering the handler"
)]
pub trait HandlerFn<'a, C: 'a, S, E, M>: Send + Sync {
    /// What the function returns.
    type Future: Future<Output = Result<(), HandlerError>> + Send + 'a;

    /// Calls the function, with a clone of the state if it takes one.
    fn call(&self, state: &S, connection: &'a mut C, received: Received<E>) -> Self::Future;
}

impl<'a, C: 'a, S, E, F, Fut> HandlerFn<'a, C, S, E, WithoutState> for F
where
    F: Fn(&'a mut C, Received<E>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), HandlerError>> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, _: &S, connection: &'a mut C, received: Received<E>) -> Fut {
        self(connection, received)
    }
}

impl<'a, C: 'a, S: Clone, E, F, Fut> HandlerFn<'a, C, S, E, WithState> for F
where
    F: Fn(&'a mut C, Received<E>, S) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), HandlerError>> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, state: &S, connection: &'a mut C, received: Received<E>) -> Fut {
        self(connection, received, state.clone())
    }
}

/// A function that handles several events at once: as [`HandlerFn`], with a `Vec<Received<E>>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of several events on this worker's connection `{C}` and state `{S}`",
    note = "a batch handler is `async fn(&mut {C}, Vec<Received<{E}>>) -> Result<(), HandlerError>`",
    note = "or takes the state as a third argument: `async fn(&mut {C}, Vec<Received<{E}>>, {S}) -> Result<(), HandlerError>`",
    note = "its future must be `Send`; give the state with `with_state` before registering the handler"
)]
pub trait BatchFn<'a, C: 'a, S, E, M>: Send + Sync {
    /// What the function returns.
    type Future: Future<Output = Result<(), HandlerError>> + Send + 'a;

    /// Calls the function, with a clone of the state if it takes one.
    fn call(&self, state: &S, connection: &'a mut C, received: Vec<Received<E>>) -> Self::Future;
}

impl<'a, C: 'a, S, E, F, Fut> BatchFn<'a, C, S, E, WithoutState> for F
where
    F: Fn(&'a mut C, Vec<Received<E>>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), HandlerError>> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, _: &S, connection: &'a mut C, received: Vec<Received<E>>) -> Fut {
        self(connection, received)
    }
}

impl<'a, C: 'a, S: Clone, E, F, Fut> BatchFn<'a, C, S, E, WithState> for F
where
    F: Fn(&'a mut C, Vec<Received<E>>, S) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), HandlerError>> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, state: &S, connection: &'a mut C, received: Vec<Received<E>>) -> Fut {
        self(connection, received, state.clone())
    }
}
