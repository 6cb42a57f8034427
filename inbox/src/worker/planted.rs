//! What some of the bugs planted on purpose need to go wrong.

use mainstay_database::Transactions;
use mainstay_messaging::{Delivery, Partition, Position};

use super::{holdings::Holdings, work::Work};
use crate::{Error, Inbox};

impl<T, I> Work<T, I>
where
    T: Transactions + ?Sized,
    I: Inbox<Connection = T::Connection> + ?Sized,
{
    /// Ends the transaction that holds the marks, with or without them, and begins another one for the effects.
    pub(super) async fn mark_apart(
        &self,
        tx: T::Transaction,
        kept: bool,
    ) -> Result<T::Transaction, Error> {
        if kept {
            self.transactions.commit(tx).await?;
        } else {
            drop(tx);
        }
        Ok(self.transactions.begin().await?)
    }

    /// Marks what has been done.
    pub(super) async fn mark_afterwards(&self, deliveries: &[&Delivery]) -> Result<(), Error> {
        let mut tx = self.transactions.begin().await?;
        let marking = self.inbox.admit_batch(&mut tx, &self.group, deliveries);
        drop(marking.await?);
        Ok(self.transactions.commit(tx).await?)
    }
}

impl Holdings {
    /// The end of what was received of each partition.
    pub(super) fn received(&self) -> Vec<Position> {
        let position = |holding: &super::holdings::Holding| Position {
            partition: Partition::clone(&holding.partition),
            offset: holding.span.received_below(),
        };
        self.iter().map(|(_, holding)| position(holding)).collect()
    }
}
