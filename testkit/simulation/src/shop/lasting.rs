//! While one message cannot go on, and nothing else is wrong any more.

use std::time::Duration;

use mainstay_testkit::history::Place;

use super::{Failure, Lasting, Shop, WINDOW, group, nth_of, witness::Witness};
use crate::{Sim, judge};

/// How long everything may take to come to its end beside a message that the broker refuses.
const BESIDE: Duration = Duration::from_secs(30);

impl Shop {
    /// Heals all but what lasts, waits, and says what else stands still.
    pub(super) async fn outlast(
        &self,
        sim: &Sim,
        witness: &Witness,
    ) -> Result<Vec<String>, Failure> {
        let mut beside = Vec::new();
        if let Some(Lasting::Poison(nth)) = self.lasting {
            // The others of its partition are done, and were long enough ago to be forgotten; their offsets are not committed.
            sim.heal_but_handlers();
            tokio::time::sleep(WINDOW + Duration::from_secs(3)).await;
            beside = self
                .stands_still(sim, witness, &Place::Consumer(group().to_string()), nth)
                .await?;
            sim.broker().faults().redeliver(&group());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if let Some(Lasting::Refusal(nth)) = self.lasting {
            sim.heal();
            let refused = move |message: &_| nth_of(message) == Some(nth);
            sim.broker().faults().refuse(refused);
            tokio::time::sleep(BESIDE).await;
            beside = self.stands_still(sim, witness, &Place::Outbox, nth).await?;
        }
        Ok(beside)
    }

    /// What does not hold while nothing but this message is the cause of anything that stands still.
    async fn stands_still(
        &self,
        sim: &Sim,
        witness: &Witness,
        at: &Place,
        nth: usize,
    ) -> Result<Vec<String>, Failure> {
        let mut seen = witness.caught_up().history.clone();
        let id = nth.to_string();
        for stop in &mut seen.stops {
            stop.lasting = stop.at == *at && stop.id == id;
        }
        Ok(judge(&self.history(sim, witness, seen).await?))
    }
}
