//! Who makes the effects.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use mainstay_clock::Backoff;
use mainstay_database::memory::{Connection, Inserted};
use mainstay_inbox::{HandlerError, Handlers, Received, StopKey, Worker, memory::MemoryInbox};
use mainstay_messaging::StartAt;

use super::{
    Lasting, Shop, group,
    rows::{Parcel, Placed, Shelf},
    topic,
    witness::{Watched, Witness},
};
use crate::{CallFault, Process, Rng};

pub(super) async fn run(
    shop: Shop,
    witness: Arc<Witness>,
    process: Process,
) -> Result<(), mainstay_inbox::Error> {
    let rng = Rng::new(shop.seed, process.name());
    let size = |bound: usize| NonZeroUsize::MIN.saturating_add(rng.number(bound));
    // What is not read for longer than the window is not told from a new message.
    let span = if matches!(shop.lasting, Some(Lasting::Poison(_))) {
        NonZeroUsize::MAX
    } else {
        size(40)
    };
    let database = process.database();
    let inbox = Arc::new(MemoryInbox::new(database.clone()));
    let handlers = Handlers::new().on::<Placed, _, _>(process.clone(), pack);
    let parking = StopKey::new().retry_after(Duration::from_millis(500));
    let parking = Watched::new(parking, &witness);
    let worker = Worker::new(group(), Arc::new(database), inbox, handlers)
        .clock(process.clock())
        .ids(process.ids())
        .concurrency(size(4))
        .batch(size(12))
        .span_bound(span, usize::MAX)
        .attempts(1 + u32::try_from(rng.below(4)).unwrap_or(0))
        .retention(shop.window())
        .drain(Duration::from_secs(1))
        .handler_deadline(Duration::from_millis(
            200 + rng.millis(20_000).as_secs() * 1_000,
        ))
        .parking(shop.adapters.parking(Arc::new(parking)))
        .backoff(Backoff::new(
            Duration::from_millis(10),
            Duration::from_millis(500),
        ));
    let consumer = process.consumer(&group(), &[topic()], StartAt::Earliest);
    worker.run(consumer, process.shutdown()).await
}

async fn pack(
    process: Process,
    connection: &mut Connection,
    received: Received<Placed>,
) -> Result<(), HandlerError> {
    match process.handles(&received.message).await {
        None => {}
        Some(CallFault::Conflict) => {
            return Err(mainstay_database::Error::Conflict("planned".into()).into());
        }
        // Not told to the panic hook: it is no news.
        Some(CallFault::Panics) => std::panic::resume_unwind(Box::new("planned")),
        Some(CallFault::Fails) => return Err(HandlerError::retryable("planned")),
        Some(_) => return Err(HandlerError::permanent("planned")),
    }
    let placed = received.event;
    // The row's lock makes the order of numbers that of commits.
    let shelf = Shelf {
        key: placed.key.clone(),
        count: 1,
    };
    let mut statement = connection.statement().await?;
    let _: Inserted = statement.upsert(shelf, |row| row.count += 1).await?;
    drop(statement);
    let mut statement = connection.statement().await?;
    let shelf = statement.get::<Shelf>(&placed.key);
    let number = shelf.map_or(0, |shelf| shelf.count);
    let _: Inserted = statement.insert(Parcel { number, placed }).await?;
    Ok(())
}
