//! The role that admits a message once.

use async_trait::async_trait;
use mainstay_messaging::{Delivery, Group};

use crate::Error;

/// Says, in the caller's transaction, whether a message's effect is still to be made.
///
/// The answer and the mark are one: a [`Fresh`](Admission::Fresh) message is marked as done in the transaction that is
/// about to make its effect. Commit keeps both, rollback neither.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// The lifetime-free type that a driver's transaction dereferences to.
    type Connection: Send + 'static;

    /// Admits a set of messages for `consumer`, in order, and answers for each of them.
    ///
    /// # Behaviour
    /// - The answer has exactly one [`Admission`] per delivery, in their order.
    /// - Identity is (consumer, source, message id). A record that is no message has its position as identity.
    /// - Of two deliveries of one message in one call the first may be fresh, the second is a duplicate.
    /// - A duplicate that lies elsewhere than the mark says is noted, so that
    ///   [retention](crate::Retention::sweep) keeps the mark while that copy may come again.
    /// - If another transaction has admitted the same message and is still open, waits for its end: its commit makes this one
    ///   a duplicate, its rollback leaves it fresh.
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
        // A store that breaks its contract must not make an effect twice.
        Ok(admissions.first().copied().unwrap_or(Admission::Duplicate))
    }
}

/// Whether a message's effect is to be made.
///
/// An answer that a caller does not know (one will come with parking) means: make no effect, and commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the effect may be made only if the message is fresh"]
#[non_exhaustive]
pub enum Admission {
    /// Not seen before: make the effect and commit.
    Fresh,
    /// Its effect is made already: make none.
    Duplicate,
}

impl Admission {
    /// Whether the effect is to be made.
    #[must_use]
    pub const fn is_fresh(self) -> bool {
        matches!(self, Self::Fresh)
    }
}
