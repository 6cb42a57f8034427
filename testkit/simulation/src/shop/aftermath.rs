//! When it is over, and what was found then.

use std::time::Duration;

use mainstay_database::Transactions as _;
use mainstay_messaging::{Consumer as _, Content, Group, Incoming, StartAt, event::decode};
use mainstay_outbox::memory::MemoryOutbox;
use mainstay_testkit::{
    History,
    history::{Effect, Left, Place, Published, Reader},
};

use super::{
    Failure, Shop, group,
    rows::{Fulfilled, Order, Parcel, Placed},
    topic,
};
use crate::Sim;

impl Shop {
    /// Waits until every wish is fulfilled, published and done, and nobody has anything left to do.
    pub(super) async fn come_to_an_end(
        &self,
        sim: &Sim,
        outbox: &MemoryOutbox,
    ) -> Result<(), Failure> {
        while !self.has_ended(sim, outbox).await? {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    async fn has_ended(&self, sim: &Sim, outbox: &MemoryOutbox) -> Result<bool, Failure> {
        let mut tx = sim.database().begin().await?;
        let statement = tx.statement().await?;
        let wishes = self.wishes.len();
        if statement.scan::<Fulfilled>(..).len() < wishes
            || statement.scan::<Parcel>(..).len() < wishes
        {
            return Ok(false);
        }
        if outbox.rows().await? != (0, 0) {
            return Ok(false);
        }
        let progress = sim.broker().progress(&group()).await?;
        let done = |(_, committed, end): &(_, i64, i64)| committed == end;
        Ok(progress.len() == usize::from(self.partitions) && progress.iter().all(done))
    }

    pub(super) async fn history(
        &self,
        sim: &Sim,
        outbox: &MemoryOutbox,
    ) -> Result<History, Failure> {
        let mut history = History::default();
        let mut tx = sim.database().begin().await?;
        let statement = tx.statement().await?;
        let orders = statement.scan::<Order>(..).into_iter();
        history.committed = orders.map(|order| order.placed.into()).collect();
        let parcels = statement.scan::<Parcel>(..).into_iter();
        history.effects = parcels
            .map(|parcel| Effect {
                consumer: group().to_string(),
                entry: parcel.placed.into(),
            })
            .collect();
        drop(statement);
        drop(tx);
        history.published = log(sim).await?;
        history.readers = vec![Reader {
            consumer: group().to_string(),
            topic: topic().to_string(),
        }];
        let (waiting, held) = outbox.rows().await?;
        history.left = (0..waiting + held)
            .map(|nth| Left {
                at: Place::Outbox,
                key: None,
                id: format!("row {nth} of the outbox"),
            })
            .collect();
        Ok(history)
    }
}

/// Everything in the broker's log, in the order of each partition.
async fn log(sim: &Sim) -> Result<Vec<Published>, Failure> {
    let auditor = Group::from_static("auditor");
    let mut consumer = sim
        .broker()
        .consumer(auditor.clone(), &[topic()], StartAt::Earliest);
    let (mut log, mut total) = (Vec::new(), None);
    while total != Some(log.len()) {
        if let Incoming::Deliveries(deliveries) = consumer.next().await? {
            for delivery in deliveries {
                let Content::Message(message) = delivery.content else {
                    continue;
                };
                let entry = match decode::<Placed>(&message) {
                    Ok(placed) => placed.into(),
                    Err(error) => mainstay_testkit::history::Entry {
                        id: message.id.to_string(),
                        attempt: error.to_string(),
                        ..Default::default()
                    },
                };
                log.push(Published {
                    topic: topic().to_string(),
                    partition: delivery.position.partition.number,
                    offset: delivery.position.offset,
                    entry,
                });
            }
        }
        let progress = sim.broker().progress(&auditor).await?;
        let ends = progress.iter().map(|(_, _, end)| *end);
        total = usize::try_from(ends.sum::<i64>()).ok();
    }
    Ok(log)
}
