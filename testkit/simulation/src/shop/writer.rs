//! Writers: a row and the event about it in one transaction, again until both are there.

use std::time::Duration;

use mainstay_database::memory::{Database, Inserted};
use mainstay_messaging::Message;
use mainstay_outbox::{DeduplicationKey, Enqueued, Entry, MemoryOutbox, Outbox as _};

use super::{
    Shop,
    rows::{Aggregate, Fulfilled, Order, Placed},
};
use crate::{Process, Rng};

/// A message that shall be there in the end.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    nth: usize,
    key: usize,
    /// How long its writer waits before it.
    pause: Duration,
    /// It is delivered so much later, and leaves its key's order.
    delay: Option<Duration>,
    /// Whether it is enqueued under a deduplication key.
    once: bool,
    /// Whether something else is enqueued first, and rolled back.
    regret: bool,
    /// How much there is to say about it.
    words: usize,
    /// Whether it shares the transaction of the one before it.
    joins: bool,
}

impl Wish {
    pub(super) fn draw(rng: &Rng, nth: usize, keys: usize) -> Self {
        Self {
            nth,
            key: rng.below(keys),
            pause: rng.within(Duration::from_millis(600)),
            delay: rng.one_in(10).then(|| rng.millis(2_000)),
            once: rng.one_in(2),
            regret: rng.one_in(8),
            joins: rng.one_in(5),
            words: if rng.one_in(4) { rng.below(100) } else { 0 },
        }
    }

    pub(super) const fn set_alone(&mut self, key: usize) {
        (self.key, self.delay) = (key, None);
    }

    /// What orders its message, if anything does.
    pub(super) fn ordered_key(&self) -> Option<String> {
        self.delay.is_none().then(|| self.key.to_string())
    }

    fn placed(&self, number: i64, attempt: &str) -> Placed {
        Placed {
            key: self.ordered_key(),
            number,
            id: self.nth.to_string(),
            attempt: attempt.to_owned(),
            note: "please ".repeat(self.words),
        }
    }
}

pub(super) async fn run(shop: Shop, at: usize, process: Process) -> Result<(), super::Failure> {
    let (database, shutdown) = (process.database(), process.shutdown());
    let outbox = shop.outbox_of(&database).await?;
    let mine = |wish: &&Wish| wish.nth % shop.topology.writers.len() == at;
    let mut mine = shop.wishes.iter().filter(mine).peekable();
    let mut tries = 0;
    while let Some(wish) = mine.next() {
        let mut wishes = vec![wish];
        while let Some(joined) = mine.next_if(|next| next.joins) {
            wishes.push(joined);
        }
        tokio::time::sleep(wish.pause).await;
        loop {
            tries += 1;
            let attempt = format!("{}/{}/{tries}", process.name(), process.life());
            match write(&database, &outbox, &wishes, &attempt).await {
                Ok(()) => break,
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error.into()),
            }
            if shutdown.is_cancelled() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

async fn write(
    database: &Database,
    outbox: &MemoryOutbox,
    wishes: &[&Wish],
    attempt: &str,
) -> Result<(), mainstay_outbox::Error> {
    if wishes.iter().any(|wish| wish.regret) {
        // A transaction that changes its mind.
        let mut tx = database.begin().await?;
        let regretted = message("regretted", &wishes[0].placed(0, attempt), wishes[0].key)?;
        outbox.enqueue(&mut tx, &regretted).await?;
    }
    let mut tx = database.begin().await?;
    for wish in wishes {
        // The row's lock makes the order of numbers that of commits.
        let aggregate = Aggregate {
            key: wish.key,
            version: 1,
        };
        let statement = tx.statement().await;
        let _: Inserted = statement?.upsert(aggregate, |row| row.version += 1).await?;
        let row = tx.statement().await?.get::<Aggregate>(&wish.key);
        let number = row.map_or(0, |row| row.version);
        // Some look into a table of their own, the others leave that to the deduplication key.
        let fulfilled = Fulfilled { nth: wish.nth };
        if !wish.once {
            let inserted = tx.statement().await?.insert(fulfilled.clone()).await?;
            if inserted == Inserted::Exists {
                continue;
            }
        }
        let placed = wish.placed(number, attempt);
        let message = message(&wish.nth.to_string(), &placed, wish.key)?;
        let once = DeduplicationKey::new(wish.nth.to_string()).ok();
        let mut entry = Entry::new(&message);
        if let Some(once) = once.as_ref().filter(|_| wish.once) {
            entry = entry.deduplicate(once);
        }
        if let Some(delay) = wish.delay {
            entry = entry.deliver_after(delay);
        }
        let enqueued = outbox.enqueue_batch(&mut tx, &[entry]).await?;
        if enqueued != [Enqueued::Added] {
            if !wish.once {
                return Err(mainstay_database::Error::Failed("enqueued before".into()).into());
            }
            continue;
        }
        // What was enqueued beside an order that was there already is one message too many.
        if wish.once && tx.statement().await?.insert(fulfilled).await? == Inserted::Exists {
            continue;
        }
        let order = Order {
            key: wish.key,
            placed,
        };
        let _: Inserted = tx.statement().await?.insert(order).await?;
    }
    Ok(database.commit(tx).await?)
}

fn message(id: &str, placed: &Placed, key: usize) -> Result<Message, mainstay_outbox::Error> {
    let message = Message::builder().source("/shop").id(id).event(placed);
    let message = message.key(key.to_string()).build();
    message.map_err(|error| mainstay_database::Error::Failed(error.into()).into())
}
