//! Which functions are handlers of local steps.

use std::marker::PhantomData;

use futures_util::future::BoxFuture;
use mainstay_inbox::HandlerError;
use mainstay_messaging::Event;

use crate::{Answer, Command, document::Document, engine::Reply};

/// Marks a handler that takes no state.
#[derive(Debug)]
#[non_exhaustive]
pub struct WithoutState;

/// Marks a handler that takes the state given with `with_state`.
#[derive(Debug)]
#[non_exhaustive]
pub struct WithState;

/// A function that carries out a local step, or its undo.
///
/// Implemented for `async fn(&mut C, E)` and `async fn(&mut C, E, T)` that return `Result<R,
/// HandlerError>`. `M` tells the two shapes apart and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of the local step `{E}` on this saga's connection `{C}`",
    note = "a handler is `async fn(&mut {C}, {E}) -> Result<{R}, HandlerError>`",
    note = "or takes the state as a third argument: `async fn(&mut {C}, {E}, {T}) -> Result<{R}, HandlerError>`",
    note = "its future must be `Send`; give the state with `with_state` before registering the handler"
)]
pub trait LocalFn<'a, C: 'a, T, E, R, M>: Send + Sync {
    /// What the function returns.
    type Future: Future<Output = Result<R, HandlerError>> + Send + 'a;

    /// Calls the function, with a clone of the state if it takes one.
    fn call(&self, state: &T, connection: &'a mut C, command: E) -> Self::Future;
}

impl<'a, C: 'a, T, E, R, F, Fut> LocalFn<'a, C, T, E, R, WithoutState> for F
where
    F: Fn(&'a mut C, E) -> Fut + Send + Sync,
    Fut: Future<Output = Result<R, HandlerError>> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, _: &T, connection: &'a mut C, command: E) -> Fut {
        self(connection, command)
    }
}

impl<'a, C: 'a, T: Clone, E, R, F, Fut> LocalFn<'a, C, T, E, R, WithState> for F
where
    F: Fn(&'a mut C, E, T) -> Fut + Send + Sync,
    Fut: Future<Output = Result<R, HandlerError>> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, state: &T, connection: &'a mut C, command: E) -> Fut {
        self(connection, command, state.clone())
    }
}

/// A handler whose types are erased.
pub(super) trait Erased<C>: Send + Sync {
    fn run<'a>(
        &'a self,
        connection: &'a mut C,
        command: &'a Document,
        attempt: u32,
    ) -> BoxFuture<'a, Result<Reply, HandlerError>>;
}

/// A handler before it is known what it returns.
pub(super) struct Typed<T, H> {
    state: T,
    handler: H,
}

pub(super) struct Answering<T, H, E, M> {
    typed: Typed<T, H>,
    types: PhantomData<fn(E, M)>,
}

pub(super) struct Undoing<T, H, E, M> {
    typed: Typed<T, H>,
    types: PhantomData<fn(E, M)>,
}

impl<T, H> Typed<T, H> {
    pub(super) const fn new(state: T, handler: H) -> Self {
        Self { state, handler }
    }

    pub(super) const fn answering<E, M>(self) -> Answering<T, H, E, M> {
        Answering {
            typed: self,
            types: PhantomData,
        }
    }

    pub(super) const fn undoing<E, M>(self) -> Undoing<T, H, E, M> {
        Undoing {
            typed: self,
            types: PhantomData,
        }
    }
}

impl<C, T, H, E, M> Erased<C> for Answering<T, H, E, M>
where
    C: Send + 'static,
    T: Send + Sync + 'static,
    E: Command,
    M: 'static,
    H: for<'a> LocalFn<'a, C, T, E, Answer<E>, M> + 'static,
{
    fn run<'a>(
        &'a self,
        connection: &'a mut C,
        command: &'a Document,
        attempt: u32,
    ) -> BoxFuture<'a, Result<Reply, HandlerError>> {
        Box::pin(async move {
            let Typed { state, handler } = &self.typed;
            let command: E = command.read().map_err(HandlerError::permanent)?;
            match handler.call(state, connection, command).await? {
                Answer::Done(result) => Ok(Reply::Done(document(&result)?)),
                Answer::Refused(refused) => Ok(Reply::Refused {
                    refusal: document(&refused)?,
                    retry: E::retry(&refused, attempt),
                }),
                Answer::Neither => Err(HandlerError::permanent(
                    "a local step answers when it returns: done or refused",
                )),
            }
        })
    }
}

impl<C, T, H, E, M> Erased<C> for Undoing<T, H, E, M>
where
    C: Send + 'static,
    T: Send + Sync + 'static,
    E: Event,
    M: 'static,
    H: for<'a> LocalFn<'a, C, T, E, (), M> + 'static,
{
    fn run<'a>(
        &'a self,
        connection: &'a mut C,
        command: &'a Document,
        _: u32,
    ) -> BoxFuture<'a, Result<Reply, HandlerError>> {
        Box::pin(async move {
            let Typed { state, handler } = &self.typed;
            let undo: E = command.read().map_err(HandlerError::permanent)?;
            handler.call(state, connection, undo).await?;
            Ok(Reply::Undone)
        })
    }
}

fn document<E: Event>(event: &E) -> Result<Document, HandlerError> {
    Document::of(event).map_err(HandlerError::permanent)
}
