//! Which handler runs for which kind of event.

mod error;
mod registered;

use std::{collections::HashMap, fmt, sync::Arc};

use mainstay_messaging::{Message, Position, event::Event};

use crate::Error;
use registered::{OneByOne, Together};

pub use error::HandlerError;
pub(crate) use error::{Class, database_error};
pub use registered::{BatchFn, HandlerFn};
pub(crate) use registered::{Call, Registered};

/// An event as a handler gets it, with the message it came in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Received<E> {
    /// The event, brought up to today's version.
    pub event: E,
    /// The message: ids, headers, trace context.
    pub message: Message,
    /// Where it was read.
    pub position: Position,
}

impl<E> Received<E> {
    /// An event as a worker would hand it over: for tests of handlers.
    #[must_use]
    pub const fn new(event: E, message: Message, position: Position) -> Self {
        Self {
            event,
            message,
            position,
        }
    }
}

/// The handlers of one consumer: at most one per kind of event.
///
/// `C` is the connection type of the transaction that handlers write through.
pub struct Handlers<C> {
    by_kind: HashMap<&'static str, Arc<dyn Registered<C>>>,
    twice: Option<&'static str>,
}

impl<C: Send + 'static> Handlers<C> {
    /// No handlers.
    #[must_use]
    pub fn new() -> Self {
        Self {
            by_kind: HashMap::new(),
            twice: None,
        }
    }

    /// Runs `handler` for each event `E`.
    ///
    /// A handler is an `async fn(state: S, connection: &mut C, received: Received<E>) -> Result<(), HandlerError>`, or a
    /// closure with these parameters that returns a boxed future. It gets a clone of `state` each time. It writes through
    /// `connection`, and nothing of what it wrote stays if it fails.
    #[must_use]
    pub fn on<E, S, H>(self, state: S, handler: H) -> Self
    where
        E: Event + Send + 'static,
        S: Clone + Send + Sync + 'static,
        H: for<'a> HandlerFn<'a, C, S, E> + 'static,
    {
        self.register(E::KIND, Arc::new(OneByOne::new(state, handler)))
    }

    /// Runs `handler` for all events `E` of one transaction together: as [`on`](Self::on), with a `Vec<Received<E>>` in
    /// the order of their keys.
    ///
    /// A handler that knows which of them failed says so with [`HandlerError::at`]. Otherwise the set is halved until the
    /// culprit is alone.
    #[must_use]
    pub fn on_batch<E, S, H>(self, state: S, handler: H) -> Self
    where
        E: Event + Send + 'static,
        S: Clone + Send + Sync + 'static,
        H: for<'a> BatchFn<'a, C, S, E> + 'static,
    {
        self.register(E::KIND, Arc::new(Together::new(state, handler)))
    }

    fn register(mut self, kind: &'static str, handler: Arc<dyn Registered<C>>) -> Self {
        if self.by_kind.insert(kind, handler).is_some() {
            self.twice = Some(kind);
        }
        self
    }

    /// The kinds that have a handler, sorted.
    #[must_use]
    pub fn kinds(&self) -> Vec<&'static str> {
        let mut kinds: Vec<_> = self.by_kind.keys().copied().collect();
        kinds.sort_unstable();
        kinds
    }

    /// Checks that no kind was given two handlers; [`Worker::run`](crate::Worker::run) does so before anything else.
    ///
    /// # Errors
    /// [`Error::TwoHandlers`] names the kind.
    pub const fn check(&self) -> Result<(), Error> {
        match self.twice {
            Some(kind) => Err(Error::TwoHandlers { kind }),
            None => Ok(()),
        }
    }

    pub(crate) fn of(&self, message: &Message) -> Option<&Arc<dyn Registered<C>>> {
        self.by_kind.get(message.kind.as_str())
    }
}

impl<C: Send + 'static> Default for Handlers<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Send + 'static> fmt::Debug for Handlers<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handlers").field(&self.kinds()).finish()
    }
}
