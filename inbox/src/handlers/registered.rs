//! Handler functions behind one object-safe face.

use std::{any::Any, marker::PhantomData};

use futures_util::future::BoxFuture;
use mainstay_messaging::{
    Message, Position,
    event::{DecodeError, Event, decode},
};

use super::{HandlerError, Received};

/// A function that handles one event; implemented for every fitting `async fn` and closure, see
/// [`Handlers::on`](super::Handlers::on).
///
/// The lifetime is that of the connection. It stands on the trait because the future borrows it, which a plain bound on
/// `Fn` cannot say.
pub trait HandlerFn<'a, C: 'a, S, E>:
    Fn(S, &'a mut C, Received<E>) -> Self::Future + Send + Sync
{
    /// What the function returns.
    type Future: Future<Output = Result<(), HandlerError>> + Send + 'a;
}

impl<'a, C: 'a, S, E, F, Fut> HandlerFn<'a, C, S, E> for F
where
    F: Fn(S, &'a mut C, Received<E>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), HandlerError>> + Send + 'a,
{
    type Future = Fut;
}

/// A function that handles several events at once, see [`Handlers::on_batch`](super::Handlers::on_batch).
pub trait BatchFn<'a, C: 'a, S, E>:
    Fn(S, &'a mut C, Vec<Received<E>>) -> Self::Future + Send + Sync
{
    /// What the function returns.
    type Future: Future<Output = Result<(), HandlerError>> + Send + 'a;
}

impl<'a, C: 'a, S, E, F, Fut> BatchFn<'a, C, S, E> for F
where
    F: Fn(S, &'a mut C, Vec<Received<E>>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), HandlerError>> + Send + 'a,
{
    type Future = Fut;
}

/// One event of a call: decoded ahead of the transaction, by the handler that will take it.
pub(crate) struct Call {
    pub(crate) event: Box<dyn Any + Send>,
    pub(crate) message: Message,
    pub(crate) position: Position,
}

/// A handler whose event type is forgotten.
pub(crate) trait Registered<C>: Send + Sync {
    /// Reads the event in `message`.
    fn decode(&self, message: &Message) -> Result<Box<dyn Any + Send>, DecodeError>;

    /// The kind whose events one call takes together; none = a call for each event.
    fn together(&self) -> Option<&'static str>;

    /// Runs the handler.
    fn run<'a>(
        &'a self,
        connection: &'a mut C,
        calls: Vec<Call>,
    ) -> BoxFuture<'a, Result<(), HandlerError>>;
}

/// A handler of single events.
pub(super) struct OneByOne<S, E, H> {
    state: S,
    handler: H,
    event: PhantomData<fn(E)>,
}

/// A handler of batches.
pub(super) struct Together<S, E, H> {
    state: S,
    handler: H,
    event: PhantomData<fn(E)>,
}

impl<S, E, H> OneByOne<S, E, H> {
    pub(super) const fn new(state: S, handler: H) -> Self {
        Self {
            state,
            handler,
            event: PhantomData,
        }
    }
}

impl<S, E, H> Together<S, E, H> {
    pub(super) const fn new(state: S, handler: H) -> Self {
        Self {
            state,
            handler,
            event: PhantomData,
        }
    }
}

impl<C, S, E, H> Registered<C> for OneByOne<S, E, H>
where
    C: Send + 'static,
    S: Clone + Send + Sync + 'static,
    E: Event + Send + 'static,
    H: for<'a> HandlerFn<'a, C, S, E> + 'static,
{
    fn decode(&self, message: &Message) -> Result<Box<dyn Any + Send>, DecodeError> {
        Ok(Box::new(decode::<E>(message)?))
    }

    fn together(&self) -> Option<&'static str> {
        None
    }

    fn run<'a>(
        &'a self,
        connection: &'a mut C,
        calls: Vec<Call>,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        Box::pin(async move {
            for call in calls {
                (self.handler)(self.state.clone(), connection, received(call)?).await?;
            }
            Ok(())
        })
    }
}

impl<C, S, E, H> Registered<C> for Together<S, E, H>
where
    C: Send + 'static,
    S: Clone + Send + Sync + 'static,
    E: Event + Send + 'static,
    H: for<'a> BatchFn<'a, C, S, E> + 'static,
{
    fn decode(&self, message: &Message) -> Result<Box<dyn Any + Send>, DecodeError> {
        Ok(Box::new(decode::<E>(message)?))
    }

    fn together(&self) -> Option<&'static str> {
        Some(E::KIND)
    }

    fn run<'a>(
        &'a self,
        connection: &'a mut C,
        calls: Vec<Call>,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        Box::pin(async move {
            let received = calls.into_iter().map(received).collect::<Result<_, _>>()?;
            (self.handler)(self.state.clone(), connection, received).await
        })
    }
}

fn received<E: 'static>(call: Call) -> Result<Received<E>, HandlerError> {
    match call.event.downcast::<E>() {
        Ok(event) => Ok(Received {
            event: *event,
            message: call.message,
            position: call.position,
        }),
        // The same handler decoded it, so this does not happen; if it did, no message may be lost by it.
        Err(_) => Err(HandlerError::permanent(
            "an event was decoded as another type",
        )),
    }
}
