//! The role that business code sees: put a message into the transaction at hand.

use async_trait::async_trait;
use mainstay_messaging::Message;

use crate::{Enqueued, Entry, Error};

/// Puts messages into the caller's own transaction.
///
/// ```no_run
/// # use mainstay_outbox::{Error, Outbox};
/// # use mainstay_messaging::Message;
/// # async fn place<O: Outbox>(outbox: &O, tx: &mut O::Connection, message: Message) -> Result<(), Error> {
/// // … the business write, on the same transaction …
/// outbox.enqueue(tx, &message).await?;
/// // … commit …
/// outbox.ring();
/// # Ok(()) }
/// ```
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// What the caller's transaction derefs to.
    type Connection: Send + 'static;

    /// Enqueues `entries` in their order and says, in the same order, what became of each.
    ///
    /// # Behaviour
    /// - A message is published if and only if the transaction commits.
    /// - Per (topic, key): if A's transaction had committed before B's enqueue began, A is published first;
    ///   messages of one transaction are published in the order they were enqueued.
    /// - Arms the notifier: a relay in this process looks for rows without waiting for its slow poll.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when one of the messages is: then nothing at all was written.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the rows are in the transaction: roll it back.
    async fn enqueue_batch(
        &self,
        connection: &mut Self::Connection,
        entries: &[Entry<'_>],
    ) -> Result<Vec<Enqueued>, Error>;

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

    /// Tells a relay in this process that a transaction was committed. Not calling it costs some
    /// milliseconds of latency and nothing else.
    fn ring(&self);
}
