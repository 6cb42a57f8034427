//! The role that admits each message once.

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_messaging::{Delivery, Group};

use crate::Error;

/// Says, in the caller's transaction, whether a message's effect is still to be made.
///
/// A [`Fresh`](Admission::Fresh) message gets its processed record in the transaction that is about
/// to make its effect: a commit keeps both, a rollback keeps neither. This makes the handler an
/// idempotent consumer.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// The lifetime-free type that a driver's transaction dereferences to.
    type Connection: Send + 'static;

    /// Admits messages for `consumer`, in order, and answers for each of them.
    ///
    /// # Behaviour
    /// - Answers with exactly one [`Admission`] per delivery, in their order.
    /// - A message is identified by (consumer, source, message id). A record that is not a message
    ///   is identified by its position.
    /// - Of two deliveries of one message in one call, the first may be fresh and the second is a
    ///   duplicate.
    /// - A duplicate at another position than its processed record is recorded as a redelivery, so
    ///   that [retention](crate::store::Retention::prune) keeps the processed record while the
    ///   message may come again.
    /// - If another open transaction has admitted the same message, waits until that one ends. Its
    ///   commit makes this message a duplicate; its rollback leaves it fresh.
    ///
    /// # Errors
    /// [`Error::Database`]; the transaction must then be rolled back.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown what was admitted: roll the transaction back.
    async fn admit_batch(
        &self,
        connection: &mut Self::Connection,
        consumer: &Group,
        deliveries: &[&Delivery],
    ) -> Result<Vec<Admission>, Error>;

    /// Admits one message: [`admit_batch`](Self::admit_batch) of one.
    ///
    /// # Errors
    /// As [`admit_batch`](Self::admit_batch).
    ///
    /// # Cancel safety
    /// As [`admit_batch`](Self::admit_batch).
    async fn admit(
        &self,
        connection: &mut Self::Connection,
        consumer: &Group,
        delivery: &Delivery,
    ) -> Result<Admission, Error> {
        let admissions = self.admit_batch(connection, consumer, &[delivery]).await?;
        // A store that breaks its contract must not cause a second effect.
        Ok(admissions.first().copied().unwrap_or(Admission::Duplicate))
    }
}

#[async_trait]
impl<I: Inbox + ?Sized> Inbox for Arc<I> {
    type Connection = I::Connection;

    async fn admit_batch(
        &self,
        connection: &mut I::Connection,
        consumer: &Group,
        deliveries: &[&Delivery],
    ) -> Result<Vec<Admission>, Error> {
        (**self).admit_batch(connection, consumer, deliveries).await
    }

    async fn admit(
        &self,
        connection: &mut I::Connection,
        consumer: &Group,
        delivery: &Delivery,
    ) -> Result<Admission, Error> {
        (**self).admit(connection, consumer, delivery).await
    }
}

/// Whether a message's effect is to be made.
///
/// A caller that meets an answer it does not know makes no effect, and commits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the effect may be made only if the message is fresh"]
#[non_exhaustive]
pub enum Admission {
    /// Not processed before: make the effect and commit.
    Fresh,
    /// Processed already: make no effect.
    Duplicate,
    /// Held behind a dead letter of its key: make no effect, and commit what admission stored.
    Held,
}

impl Admission {
    /// Whether the effect is to be made.
    #[must_use]
    pub const fn is_fresh(self) -> bool {
        matches!(self, Self::Fresh)
    }
}
