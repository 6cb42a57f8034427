//! What a handler gets.

use mainstay_messaging::{Message, Position, event::Event};

/// An event as a handler gets it, with the message that carried it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Received<E> {
    /// The event, upcast to this build's version. `()` for
    /// [`on_messages`](crate::Worker::on_messages).
    pub event: E,
    /// The message: ids, headers, trace context.
    pub message: Message,
    /// Where the worker read it.
    pub position: Position,
}

impl<E> Received<E> {
    /// An event with the message and the position that a test wants it to have.
    #[must_use]
    pub const fn new(event: E, message: Message, position: Position) -> Self {
        Self {
            event,
            message,
            position,
        }
    }
}

impl<E: Event> Received<E> {
    /// An event as a worker would hand it over, for tests of handlers: with the event's key and
    /// kind, a fresh message id, and position 0 of its topic. Fields can be changed afterwards.
    ///
    /// # Panics
    /// If the event does not serialise, or its topic, key or kind is not a valid name.
    #[must_use]
    pub fn of(event: E) -> Self {
        let message = Message::builder().source("/test").event(&event).build();
        #[expect(clippy::panic, reason = "for tests: the event's type is at fault")]
        let message = message.unwrap_or_else(|error| panic!("{error}"));
        let position = Position {
            partition: mainstay_messaging::Partition {
                topic: message.topic.clone(),
                number: 0,
            },
            offset: 0,
        };
        Self::new(event, message, position)
    }
}
