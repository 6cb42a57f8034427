//! Who publishes.

use std::{sync::Arc, time::Duration};

use mainstay_clock::Backoff;
use mainstay_outbox::Relay;

use super::{
    Shop,
    witness::{Watched, Witness},
};
use crate::{Process, Rng};

pub(super) async fn run(
    shop: Shop,
    witness: Arc<Witness>,
    process: Process,
) -> Result<(), super::Failure> {
    let rng = Rng::new(shop.seed, process.name());
    // A message has some 200 of them.
    let bytes = if rng.one_in(2) {
        1_000_000
    } else {
        300 + rng.number(1_500)
    };
    let outbox = shop.outbox_of(&process).await?;
    let store = Watched::new(outbox, &witness);
    let publisher = store.beside(process.publisher());
    let publisher = shop.adapters.publisher(Arc::new(publisher));
    let store = shop.adapters.store(Arc::new(store));
    let relay = Relay::new(store, publisher)
        .lease(Duration::from_millis(2_000 + rng.below(4_000)))
        .batch(1 + u32::try_from(rng.below(10)).unwrap_or(0), bytes)
        .send_timeout(Duration::from_millis(500 + rng.below(3_000)))
        .outage_backoff(Backoff::new(
            Duration::from_millis(20),
            Duration::from_millis(500),
        ))
        .refusal_backoff(Backoff::new(
            Duration::from_millis(100),
            Duration::from_secs(2),
        ))
        .clock(process.clock())
        .ids(process.ids());
    Ok(relay.run(process.shutdown()).await?)
}
