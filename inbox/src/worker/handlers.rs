//! Handlers of a worker: as those of [`Handlers`].

use mainstay_messaging::event::Event;

use super::Worker;
use crate::{
    Handlers, Inbox,
    handler::{BatchFn, HandlerFn},
};

impl<I: Inbox, K, S: Clone + Send + Sync + 'static> Worker<I, K, S> {
    /// Gives the state that handlers registered after this call may take as third argument. Each
    /// call of a handler gets a clone.
    pub fn with_state<T>(self, state: T) -> Worker<I, K, T> {
        self.map(|handlers| handlers.with_state(state))
    }

    /// Runs `handler` for each event `E`; see [`Handlers::on`].
    pub fn on<E, M, H>(self, handler: H) -> Self
    where
        E: Event,
        M: 'static,
        H: for<'a> HandlerFn<'a, I::Connection, S, E, M> + 'static,
    {
        self.map(|handlers| handlers.on(handler))
    }

    /// Runs `handler` once for all events `E` of a transaction; see [`Handlers::on_batch`].
    pub fn on_batch<E, M, H>(self, handler: H) -> Self
    where
        E: Event,
        M: 'static,
        H: for<'a> BatchFn<'a, I::Connection, S, E, M> + 'static,
    {
        self.map(|handlers| handlers.on_batch(handler))
    }

    /// Runs `handler` once for all messages of `kinds` of a transaction, without decoding them; see
    /// [`Handlers::on_messages`].
    pub fn on_messages<M, H>(self, kinds: &[&'static str], handler: H) -> Self
    where
        M: 'static,
        H: for<'a> BatchFn<'a, I::Connection, S, (), M> + 'static,
    {
        self.map(|handlers| handlers.on_messages(kinds, handler))
    }

    /// Adds handlers that were registered elsewhere.
    pub fn handlers<T>(self, handlers: Handlers<I::Connection, T>) -> Self {
        self.map(|own| own.merge(handlers))
    }

    fn map<T>(
        self,
        change: impl FnOnce(Handlers<I::Connection, S>) -> Handlers<I::Connection, T>,
    ) -> Worker<I, K, T> {
        Worker {
            inbox: self.inbox,
            consumer: self.consumer,
            handlers: change(self.handlers),
            settings: self.settings,
            ending: self.ending,
        }
    }
}
