//! The role that business code sees: put an event or a message into the current transaction.

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_messaging::{Message, event::AnyEvent};

use crate::{Enqueued, Entry, Error, store::Origin};

/// Puts events and messages into the caller's own transaction.
///
/// ```no_run
/// # use mainstay_outbox::{Error, Event, Outbox};
/// # async fn place<O: Outbox, E: Event>(outbox: &O, tx: &mut O::Connection, order_placed: E) -> Result<(), Error> {
/// // … the business write, in the same transaction …
/// outbox.emit(tx, &order_placed).await?;
/// // … commit …
/// outbox.notify(); // not needed after a commit through `Database`
/// # Ok(()) }
/// ```
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// The connection type that the caller's transaction dereferences to.
    type Connection: Send + 'static;

    /// Enqueues `entries` in their order and returns the result of each in the same order.
    ///
    /// # Behaviour
    /// - A message is published if and only if the transaction commits.
    /// - Per (topic, key): if A's transaction had committed before B's enqueue began, A is published
    ///   first. Messages of one transaction are published in the order they were enqueued.
    /// - Arms the notifier: a relay in this process looks for rows without waiting for its poll
    ///   interval.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when one of the messages is too large; then nothing was written.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the rows are in the transaction: roll it back.
    async fn enqueue_batch(
        &self,
        connection: &mut Self::Connection,
        entries: &[Entry<'_>],
    ) -> Result<Vec<Enqueued>, Error>;

    /// Tells the relay of this process that a transaction was committed.
    ///
    /// A commit through the `Database` that the outbox was opened with does so by itself. After
    /// another commit, not calling it costs up to 50 ms of latency.
    fn notify(&self);

    /// Source, clock and ids of the messages that this outbox makes of events.
    fn origin(&self) -> &Origin;

    /// Enqueues one message; see [`enqueue_batch`](Self::enqueue_batch).
    async fn enqueue(
        &self,
        connection: &mut Self::Connection,
        message: &Message,
    ) -> Result<(), Error> {
        self.enqueue_batch(connection, &[Entry::new(message)])
            .await
            .map(drop)
    }

    /// Enqueues an event: makes a [`message`](Self::message) of it and enqueues that.
    ///
    /// # Errors
    /// Those of [`message`](Self::message) and [`enqueue`](Self::enqueue).
    async fn emit(
        &self,
        connection: &mut Self::Connection,
        event: &dyn AnyEvent,
    ) -> Result<(), Error> {
        self.enqueue(connection, &self.message(event)?).await
    }

    /// Makes a message of an event, for [`enqueue_batch`](Self::enqueue_batch) or to add headers.
    ///
    /// Topic, key, kind and version are those of `impl Event`; source, id and time those of
    /// [`origin`](Self::origin).
    ///
    /// # Errors
    /// [`Error::NoSource`] when the outbox was opened without one. [`Error::Event`] when the event
    /// names an invalid topic or key, or does not serialise.
    fn message(&self, event: &dyn AnyEvent) -> Result<Message, Error> {
        self.origin().message(event)
    }
}

#[async_trait]
impl<O: Outbox + ?Sized> Outbox for Arc<O> {
    type Connection = O::Connection;

    async fn enqueue_batch(
        &self,
        connection: &mut O::Connection,
        entries: &[Entry<'_>],
    ) -> Result<Vec<Enqueued>, Error> {
        (**self).enqueue_batch(connection, entries).await
    }

    fn notify(&self) {
        (**self).notify();
    }

    fn origin(&self) -> &Origin {
        (**self).origin()
    }

    async fn enqueue(
        &self,
        connection: &mut O::Connection,
        message: &Message,
    ) -> Result<(), Error> {
        (**self).enqueue(connection, message).await
    }

    async fn emit(
        &self,
        connection: &mut O::Connection,
        event: &dyn AnyEvent,
    ) -> Result<(), Error> {
        (**self).emit(connection, event).await
    }

    fn message(&self, event: &dyn AnyEvent) -> Result<Message, Error> {
        (**self).message(event)
    }
}
