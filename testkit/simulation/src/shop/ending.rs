//! The end of a run: first while one message still fails, then without any failure.

use std::time::Duration;

use mainstay_history::{History, Left, Place, Reader};
use mainstay_outbox::MemoryOutbox;

use super::{
    Failure, Lasting, Shop, WINDOW, group, nth_of,
    rows::{Fulfilled, Order, Parcel},
    topic,
    witness::Witness,
    writer::Wish,
};
use crate::{Sim, judge};

/// How long other work may take beside a message that the broker refuses.
const BESIDE: Duration = Duration::from_secs(30);

impl Shop {
    /// Waits until every wish is fulfilled, published and handled, and no work is left.
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
        if !self.empty_queue(sim).await? {
            return Ok(false);
        }
        let database = sim.database();
        let wishes = self.wishes.len();
        if database.committed::<Fulfilled>().len() < wishes
            || database.committed::<Parcel>().len() < wishes
        {
            return Ok(false);
        }
        if !outbox.snapshot().rows.is_empty() {
            return Ok(false);
        }
        let progress = sim.broker().progress(&group()).await?;
        let done = |(_, committed, end): &(_, i64, i64)| committed == end;
        Ok(progress.len() == usize::from(self.topology.partitions) && progress.iter().all(done))
    }

    /// The `history` that the witness has seen, and what is left.
    pub(super) fn history(&self, sim: &Sim, witness: &Witness, mut history: History) -> History {
        let orders = sim.database().committed::<Order>().into_iter();
        history.committed = orders.map(|order| order.placed.clone().into()).collect();
        history.readers = vec![Reader {
            consumer: group().to_string(),
            topic: topic().to_string(),
        }];
        let waiting = witness.waiting().into_iter().map(|id| {
            let wish = id.parse().ok().and_then(|nth: usize| self.wishes.get(nth));
            let key = wish.and_then(Wish::ordered_key);
            let at = Place::Outbox;
            Left { at, key, id }
        });
        history.left = waiting.collect();
        history.left.extend(history.undone());
        history
    }

    /// Heals all but what lasts, waits, and says what else stands still.
    ///
    /// # Errors
    /// What the operator is refused.
    pub(super) async fn outlast(
        &self,
        sim: &Sim,
        witness: &Witness,
    ) -> Result<Vec<String>, Failure> {
        let mut beside = Vec::new();
        if let Some(Lasting::Poison(nth)) = self.lasting {
            // The others of its partition are handled, and their processed records are old enough to be
            // pruned; their offsets are not committed.
            sim.world.heal();
            self.wait(sim, WINDOW + Duration::from_secs(3)).await?;
            let at = Place::Consumer(group().to_string());
            beside = self.stands_still(sim, witness, &at, nth);
            sim.broker().faults().redeliver(&group());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if let Some(Lasting::Refusal(nth)) = self.lasting {
            sim.heal();
            let refused = move |message: &_| nth_of(message) == Some(nth);
            sim.broker().faults().refuse(refused);
            self.wait(sim, BESIDE).await?;
            beside = self.stands_still(sim, witness, &Place::Outbox, nth);
        }
        Ok(beside)
    }

    /// Lets time pass. In the first half of it, an operator has dead letters replayed.
    async fn wait(&self, sim: &Sim, time: Duration) -> Result<(), Failure> {
        let acts = if self.has_queue {
            (time / 2).as_secs()
        } else {
            0
        };
        let rest = time.saturating_sub(Duration::from_secs(acts));
        for _ in 0..acts {
            self.empty_queue(sim).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::sleep(rest).await;
        Ok(())
    }

    /// What does not hold while nothing but this message is the cause of anything that stands still.
    fn stands_still(&self, sim: &Sim, witness: &Witness, at: &Place, nth: usize) -> Vec<String> {
        let mut seen = witness.caught_up().history.clone();
        let id = nth.to_string();
        for stop in &mut seen.blocked {
            stop.lasting = stop.at == *at && stop.id == id;
        }
        judge(&self.history(sim, witness, seen))
    }
}
