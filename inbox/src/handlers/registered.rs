//! Handler functions behind one object-safe face.

use std::{any::Any, marker::PhantomData};

use futures_util::future::BoxFuture;
use mainstay_messaging::{
    Cause, Delivery, Message,
    event::{DecodeError, Event, decode},
};

use super::{
    HandlerError, Received,
    function::{BatchFn, HandlerFn},
};

/// An event that was decoded, before the transaction began, by the handler that will get it.
pub(crate) type AnyEvent = Box<dyn Any + Send + Sync>;

/// One event of a call, and the record that it was read from.
pub(crate) struct Call<'a> {
    pub(crate) event: AnyEvent,
    pub(crate) delivery: &'a Delivery,
}

/// A handler whose event type is erased.
pub(crate) trait Registered<C>: Send + Sync {
    /// Reads the event in `message`.
    fn decode(&self, message: &Message) -> Result<AnyEvent, DecodeError>;

    /// The label under which one call takes several events; none if each event is a call of its
    /// own.
    fn batch(&self) -> Option<&'static str>;

    /// Runs the handler.
    fn run<'a>(
        &'a self,
        connection: &'a mut C,
        calls: Vec<Call<'a>>,
    ) -> BoxFuture<'a, Result<(), HandlerError>>;
}

/// A handler of single events.
pub(super) struct OneByOne<S, E, M, H> {
    pub(super) state: S,
    pub(super) handler: H,
    pub(super) types: PhantomData<fn(E, M)>,
}

/// A handler of batches.
pub(super) struct Batch<S, E, M, H> {
    pub(super) state: S,
    pub(super) handler: H,
    pub(super) types: PhantomData<fn(E, M)>,
}

/// A handler of batches of messages that it decodes itself.
pub(super) struct Undecoded<S, M, H> {
    /// One label for all its kinds, so that they go into one call.
    pub(super) label: &'static str,
    pub(super) state: S,
    pub(super) handler: H,
    pub(super) types: PhantomData<fn(M)>,
}

impl<C, S, E, M, H> Registered<C> for OneByOne<S, E, M, H>
where
    C: Send + 'static,
    S: Clone + Send + Sync + 'static,
    E: Event,
    M: 'static,
    H: for<'a> HandlerFn<'a, C, S, E, M> + 'static,
{
    fn decode(&self, message: &Message) -> Result<AnyEvent, DecodeError> {
        Ok(Box::new(decode::<E>(message)?))
    }

    fn batch(&self) -> Option<&'static str> {
        None
    }

    fn run<'a>(
        &'a self,
        connection: &'a mut C,
        calls: Vec<Call<'a>>,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        Box::pin(async move {
            for call in calls {
                let received = call.received()?;
                let cause = Cause::of(&received.message);
                let running = self.handler.call(&self.state, connection, received);
                cause.scope(running).await?;
            }
            Ok(())
        })
    }
}

impl<C, S, E, M, H> Registered<C> for Batch<S, E, M, H>
where
    C: Send + 'static,
    S: Clone + Send + Sync + 'static,
    E: Event,
    M: 'static,
    H: for<'a> BatchFn<'a, C, S, E, M> + 'static,
{
    fn decode(&self, message: &Message) -> Result<AnyEvent, DecodeError> {
        Ok(Box::new(decode::<E>(message)?))
    }

    fn batch(&self) -> Option<&'static str> {
        Some(E::KIND)
    }

    fn run<'a>(
        &'a self,
        connection: &'a mut C,
        calls: Vec<Call<'a>>,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        run_batch(&self.handler, &self.state, connection, calls)
    }
}

impl<C, S, M, H> Registered<C> for Undecoded<S, M, H>
where
    C: Send + 'static,
    S: Clone + Send + Sync + 'static,
    M: 'static,
    H: for<'a> BatchFn<'a, C, S, (), M> + 'static,
{
    fn decode(&self, _: &Message) -> Result<AnyEvent, DecodeError> {
        Ok(Box::new(()))
    }

    fn batch(&self) -> Option<&'static str> {
        Some(self.label)
    }

    fn run<'a>(
        &'a self,
        connection: &'a mut C,
        calls: Vec<Call<'a>>,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        run_batch(&self.handler, &self.state, connection, calls)
    }
}

fn run_batch<'a, C, S, E, M, H>(
    handler: &'a H,
    state: &'a S,
    connection: &'a mut C,
    calls: Vec<Call<'a>>,
) -> BoxFuture<'a, Result<(), HandlerError>>
where
    C: Send + 'static,
    S: Sync,
    E: Send + 'static,
    M: 'static,
    H: BatchFn<'a, C, S, E, M>,
{
    Box::pin(async move {
        let mut received = Vec::with_capacity(calls.len());
        for call in calls {
            received.push(call.received()?);
        }
        handler.call(state, connection, received).await
    })
}

impl Call<'_> {
    fn received<E: 'static>(self) -> Result<Received<E>, HandlerError> {
        let Delivery { content, position } = self.delivery;
        match (self.event.downcast::<E>(), content.message()) {
            (Ok(event), Some(message)) => Ok(Received {
                event: *event,
                message: message.clone(),
                position: position.clone(),
            }),
            // The same handler decoded it, so this cannot happen. If it did, the message must not
            // be lost.
            _ => Err(HandlerError::permanent(
                "an event was decoded as another type",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use mainstay_messaging::{Partition, Position, broker::Content};

    use super::*;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Placed;

    impl Event for Placed {
        const TOPIC: &'static str = "orders";
        const KIND: &'static str = "Placed";
    }

    #[tokio::test]
    async fn what_a_handler_emits_is_caused_by_its_message() {
        async fn handle(seen: &mut Vec<Cause>, _: Received<Placed>) -> Result<(), HandlerError> {
            seen.push(Cause::current());
            Ok(())
        }
        let handler = OneByOne {
            state: (),
            handler: handle,
            types: PhantomData,
        };
        let built = Message::builder().source("/s").event(&Placed);
        let message = built.traceparent("trace").build().unwrap();
        let position = Position {
            partition: Partition {
                topic: message.topic.clone(),
                number: 0,
            },
            offset: 0,
        };
        let delivery = Delivery {
            position,
            content: Content::Message(message.clone()),
        };
        let call = Call {
            event: Box::new(Placed),
            delivery: &delivery,
        };
        let mut seen = Vec::new();
        handler.run(&mut seen, vec![call]).await.unwrap();
        assert_eq!(seen, [Cause::of(&message)]);
    }
}
