//! Handlers of local steps, with their types erased.

use std::marker::PhantomData;

use futures_util::future::BoxFuture;
use mainstay_inbox::HandlerError;
use mainstay_messaging::Event;

use crate::{Answer, Command, document::Document, engine::Reply, handler::StepFn};

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
    H: for<'a> StepFn<'a, C, T, E, Answer<E>, M> + 'static,
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
    H: for<'a> StepFn<'a, C, T, E, (), M> + 'static,
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
