//! A writer: an order and the run that carries it out, in one transaction, tried until its commit is
//! known.

use std::time::Duration;

use mainstay_database::memory::{Database, Inserted};
use mainstay_saga::{Error, Started};

use super::{Failure, Orders, Sagas, messages::Order, rows::Placed};
use crate::{Process, Rng};

/// When an order is tried again.
const AGAIN: Duration = Duration::from_millis(400);

/// An order that must be carried out or undone in the end.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) nth: usize,
    key: String,
    order: Order,
    /// How long its writer waits before it.
    pause: Duration,
    /// Whether it is started and rolled back first.
    regret: bool,
}

impl Wish {
    pub(super) fn draw(rng: &Rng, nth: usize, keys: usize) -> Self {
        Self {
            nth,
            key: rng.below(keys).to_string(),
            order: Order::draw(rng),
            pause: rng.within(Duration::from_secs(1)),
            regret: rng.one_in(4),
        }
    }
}

pub(super) async fn run(sagas: Sagas, at: usize, process: Process) -> Result<(), Failure> {
    let (database, shutdown) = (process.database(), process.shutdown());
    let outbox = sagas.outbox_of(&database, &process).await?;
    let orders = sagas.orders(&database, outbox)?;
    let writers = sagas.topology.writers.len();
    for wish in sagas.wishes.iter().filter(|wish| wish.nth % writers == at) {
        tokio::time::sleep(wish.pause).await;
        let mut regrets = wish.regret;
        loop {
            match place(&database, &orders, wish, std::mem::take(&mut regrets)).await {
                Ok(true) => break,
                Err(error) if !error.is_retryable() => return Err(error.into()),
                // Its key may have a run that has not ended.
                _ => {}
            }
            if shutdown.is_cancelled() {
                return Ok(());
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
    Ok(())
}

/// Whether the order is placed.
async fn place(
    database: &Database,
    orders: &Orders,
    wish: &Wish,
    regrets: bool,
) -> Result<bool, Error> {
    if regrets {
        // A transaction that is rolled back.
        let mut tx = database.begin().await?;
        let _regretted = orders.start(&mut tx, &wish.key, &wish.order).await?;
    }
    let mut tx = database.begin().await?;
    let placed = Placed {
        nth: wish.nth,
        run: String::new(),
    };
    if tx.statement().await?.insert(placed).await? == Inserted::Exists {
        return Ok(true);
    }
    let Started::New(run) = orders.start(&mut tx, &wish.key, &wish.order).await? else {
        return Ok(false);
    };
    let mut statement = tx.statement().await?;
    let change = |placed: &mut Placed| {
        placed.run = run.to_string();
        true
    };
    let _changed = statement.update::<Placed>(&wish.nth, change).await?;
    drop(statement);
    database.commit(tx).await?;
    Ok(true)
}
