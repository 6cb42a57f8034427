//! Which handler runs for which kind of event.

mod error;
mod function;
mod received;
mod registered;
mod registry;
mod unreadable;

use std::{fmt, marker::PhantomData, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use mainstay_messaging::{Delivery, event::Event};

use crate::Error;
use registered::{Batch, OneByOne, Undecoded};

pub use error::HandlerError;
pub use function::{BatchFn, HandlerFn, WithState, WithoutState};
pub use received::Received;

pub(crate) use error::Class;
pub(crate) use registered::{Call, Registered};
pub(crate) use registry::{Decoded, Registry};
pub(crate) use unreadable::{NoHandler, Panicked, panic_text};

/// The handlers of one consumer: at most one per kind of event.
///
/// `C` is the connection type of the transaction that handlers write through. `S` is the state that
/// handlers registered from now on may take. Clones share the handlers.
///
/// A [`Worker`](crate::Worker) has the same methods; a value of this type is for handlers that are
/// passed around, run on [one delivery](Self::run), or shared by several workers.
pub struct Handlers<C, S = ()> {
    registry: Registry<C>,
    state: S,
}

impl<C: Send + 'static> Handlers<C> {
    /// No handlers.
    #[must_use]
    pub fn new() -> Self {
        Self {
            registry: Registry::new(),
            state: (),
        }
    }
}

impl<C, S> Handlers<C, S>
where
    C: Send + 'static,
    S: Clone + Send + Sync + 'static,
{
    /// Gives the state that handlers registered after this call may take as third argument. Each
    /// call of a handler gets a clone.
    #[must_use]
    pub fn with_state<T>(self, state: T) -> Handlers<C, T> {
        Handlers {
            registry: self.registry,
            state,
        }
    }

    /// Runs `handler` for each event `E`.
    ///
    /// A handler is an `async fn(connection: &mut C, received: Received<E>) -> Result<(),
    /// HandlerError>`, and may take the [state](Self::with_state) as third argument. An async
    /// closure that captures nothing works too. What the handler writes through `connection` is
    /// rolled back if it fails.
    #[must_use]
    pub fn on<E, M, H>(self, handler: H) -> Self
    where
        E: Event,
        M: 'static,
        H: for<'a> HandlerFn<'a, C, S, E, M> + 'static,
    {
        let registered = OneByOne {
            state: self.state.clone(),
            handler,
            types: PhantomData,
        };
        let handler: Arc<dyn Registered<C>> = Arc::new(registered);
        self.register(&[E::KIND], &handler)
    }

    /// Runs `handler` once for all events `E` of a transaction: as [`on`](Self::on), with a
    /// `Vec<Received<E>>` in which the events of each key are in order. After failures a transaction
    /// has several parts, and the handler runs once for each. It runs within no
    /// [`Cause`](mainstay_messaging::Cause): its messages have several.
    ///
    /// A handler that knows which event failed names it with [`HandlerError::at`]. Otherwise the
    /// worker halves the part until the failing event is alone.
    #[must_use]
    pub fn on_batch<E, M, H>(self, handler: H) -> Self
    where
        E: Event,
        M: 'static,
        H: for<'a> BatchFn<'a, C, S, E, M> + 'static,
    {
        let registered = Batch {
            state: self.state.clone(),
            handler,
            types: PhantomData,
        };
        let handler: Arc<dyn Registered<C>> = Arc::new(registered);
        self.register(&[E::KIND], &handler)
    }

    /// Runs `handler` once for all messages of `kinds` of a transaction, without decoding them: as
    /// [`on_batch`](Self::on_batch), with a `Vec<Received<()>>`. For code that decodes by a table
    /// of its own.
    #[must_use]
    pub fn on_messages<M, H>(self, kinds: &[&'static str], handler: H) -> Self
    where
        M: 'static,
        H: for<'a> BatchFn<'a, C, S, (), M> + 'static,
    {
        let Some(label) = kinds.first() else {
            return self;
        };
        let registered = Undecoded {
            label,
            state: self.state.clone(),
            handler,
            types: PhantomData,
        };
        let handler: Arc<dyn Registered<C>> = Arc::new(registered);
        self.register(kinds, &handler)
    }

    /// Adds all handlers of `others`.
    #[must_use]
    pub fn merge<T>(mut self, others: Handlers<C, T>) -> Self {
        self.registry.merge(others.registry);
        self
    }

    /// Decodes one delivery and runs its handler on `connection`, as a worker does, but without
    /// admission, deadline or transaction: the caller opens, commits and rolls back. A panic of the
    /// handler is an error.
    ///
    /// # Errors
    /// The handler's. A permanent one if the record cannot be read or has no handler.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown what the handler wrote: roll the transaction back.
    pub async fn run(&self, connection: &mut C, delivery: &Delivery) -> Result<(), HandlerError> {
        let decoded = self.registry.read(delivery);
        let Decoded { handler, event } = decoded.map_err(HandlerError::permanent)?;
        let calls = vec![Call { event, delivery }];
        let running = AssertUnwindSafe(handler.run(connection, calls)).catch_unwind();
        running
            .await
            .unwrap_or_else(|payload| Err(Panicked(panic_text(&*payload)).into()))
    }

    /// The kinds that have a handler, sorted.
    #[must_use]
    pub fn kinds(&self) -> Vec<&'static str> {
        self.registry.kinds()
    }

    /// Checks that no kind has two handlers. A worker does so before it reads anything.
    ///
    /// # Errors
    /// [`Error::TwoHandlers`] names the kind.
    pub const fn check(&self) -> Result<(), Error> {
        self.registry.check()
    }

    fn register(mut self, kinds: &[&'static str], handler: &Arc<dyn Registered<C>>) -> Self {
        for kind in kinds {
            self.registry.insert(kind, Arc::clone(handler));
        }
        self
    }
}

impl<C, S> Handlers<C, S> {
    pub(crate) fn into_registry(self) -> Registry<C> {
        self.registry
    }
}

impl<C, S: Clone> Clone for Handlers<C, S> {
    fn clone(&self) -> Self {
        Self {
            registry: self.registry.clone(),
            state: self.state.clone(),
        }
    }
}

impl<C: Send + 'static> Default for Handlers<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C, S> fmt::Debug for Handlers<C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handlers")
            .field(&self.registry.kinds())
            .finish()
    }
}
