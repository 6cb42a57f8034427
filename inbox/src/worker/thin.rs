//! In order, one transaction per batch.

use std::collections::BTreeMap;

use mainstay_database::Transactions;
use mainstay_messaging::{Consumer, Content, Delivery, Incoming, Partition, Position};
use tokio_util::sync::CancellationToken;

use super::Worker;
use crate::{
    Error, HandlerError, Inbox, MarkRetention,
    handlers::{Call, Class},
};

impl<T, I> Worker<T, I>
where
    T: Transactions + ?Sized,
    I: Inbox<Connection = T::Connection> + MarkRetention + ?Sized,
{
    pub(super) async fn thin(
        &self,
        mut consumer: impl Consumer,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let mut held: Vec<Partition> = Vec::new();
        loop {
            let incoming = tokio::select! {
                () = shutdown.cancelled() => break,
                incoming = consumer.next() => incoming,
            };
            match incoming {
                Ok(Incoming::Deliveries(deliveries)) => {
                    for batch in deliveries.chunks(self.settings.batch) {
                        if !self.persist(batch, &shutdown).await {
                            break;
                        }
                        let mut positions = BTreeMap::new();
                        for delivery in batch {
                            positions.insert(
                                delivery.position.partition.clone(),
                                delivery.position.offset + 1,
                            );
                        }
                        let positions: Vec<_> = positions
                            .into_iter()
                            .map(|(partition, offset)| Position { partition, offset })
                            .collect();
                        if let Err(error) = consumer.commit(&positions).await {
                            tracing::warn!(%error, "offsets were not committed");
                        }
                    }
                }
                Ok(Incoming::Assigned(assigned)) => {
                    held.extend(assigned.into_iter().map(|a| a.partition));
                }
                Ok(Incoming::Revoked { partitions, .. }) => {
                    held.retain(|p| !partitions.contains(p));
                    if let Err(error) = consumer.release(&partitions).await {
                        tracing::warn!(%error, "partitions were not released");
                    }
                }
                Ok(Incoming::Lost(partitions)) => held.retain(|p| !partitions.contains(p)),
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, "the broker does not answer");
                    tokio::time::sleep(self.settings.backoff.delay(0, &self.settings.ids)).await;
                }
                Err(error) => return Err(Error::Broker(error)),
            }
        }
        consumer.release(&held).await.map_err(Error::Broker)
    }

    /// Tries until it is done; false = shut down before.
    async fn persist(&self, batch: &[Delivery], shutdown: &CancellationToken) -> bool {
        let mut attempt = 0;
        while let Err(error) = self.attempt(batch).await {
            tracing::error!(error = &error as &dyn std::error::Error, "a batch failed");
            let delay = self.settings.backoff.delay(attempt, &self.settings.ids);
            attempt += 1;
            tokio::select! {
                () = shutdown.cancelled() => return false,
                () = tokio::time::sleep(delay) => {}
            }
        }
        if let Some(call) = &self.settings.on_commit {
            call();
        }
        true
    }

    async fn attempt(&self, batch: &[Delivery]) -> Result<(), HandlerError> {
        let mut tx = self.transactions.begin().await?;
        let deliveries: Vec<_> = batch.iter().collect();
        let admissions = self
            .inbox
            .admit_batch(&mut tx, &self.group, &deliveries)
            .await?;
        for (delivery, admission) in batch.iter().zip(admissions) {
            if !admission.is_fresh() {
                continue;
            }
            let Content::Message(message) = &delivery.content else {
                return Err(HandlerError::permanent("no message"));
            };
            let Some(handler) = self.handlers.of(message) else {
                continue;
            };
            let event = handler.decode(message).map_err(HandlerError::permanent)?;
            let call = Call {
                event,
                message: message.clone(),
                position: delivery.position.clone(),
            };
            debug_assert!(handler.takes_many() || !handler.takes_many());
            if let Err(error) = handler.run(&mut tx, vec![call]).await {
                if error.class() == Class::Interrupted || error.culprit().is_some() {
                    tracing::debug!("interrupted");
                }
                return Err(error);
            }
        }
        Ok(self.transactions.commit(tx).await?)
    }
}
