//! Places the same orders in three ways, crashes at the same steps, and counts what each way loses.
//!
//! ```console
//! $ cargo run -p mainstay-examples --bin dual_write
//! ```
//!
//! A crash ends the work on an order between two steps. It forgets the rest, as a killed process does.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{borrow::Cow, collections::BTreeSet, error::Error};

use mainstay_outbox::{
    Event, Outbox as _, Relay, SqliteOutbox,
    database::sqlite::Database,
    messaging::{
        Publisher as _,
        broker::{Content, PublishOutcome},
        memory::Broker,
    },
    sqlx::{self, SqliteConnection},
};
use serde::{Deserialize, Serialize};

const ORDERS: u32 = 40;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Serialize, Deserialize)]
struct OrderPlaced {
    id: String,
}

impl Event for OrderPlaced {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "OrderPlaced";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(self.id.as_str().into())
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    PublishFirst,
    WriteFirst,
    Outbox,
}

/// What is wrong in the end.
#[derive(PartialEq, Debug)]
struct Wrong {
    /// Orders that exist and have no event.
    lost: usize,
    /// Events about orders that do not exist.
    invented: usize,
}

/// Every fourth order crashes after its first step, and every fourth one after its second.
fn crashes_after(step: u32, number: u32) -> bool {
    number % 4 == step
}

struct Service {
    db: Database,
    broker: Broker,
    outbox: SqliteOutbox,
}

impl Service {
    async fn place(&self, way: Way, number: u32) -> Outcome<()> {
        let order = OrderPlaced {
            id: number.to_string(),
        };
        match way {
            Way::PublishFirst => {
                self.publish(&order).await?;
                if crashes_after(1, number) {
                    return Ok(());
                }
                let mut tx = self.db.begin().await?;
                insert(&mut tx, &order).await?;
                if crashes_after(2, number) {
                    return Ok(());
                }
                self.db.commit(tx).await?;
            }
            Way::WriteFirst => {
                let mut tx = self.db.begin().await?;
                insert(&mut tx, &order).await?;
                if crashes_after(1, number) {
                    return Ok(());
                }
                self.db.commit(tx).await?;
                if crashes_after(2, number) {
                    return Ok(());
                }
                self.publish(&order).await?;
            }
            Way::Outbox => {
                let mut tx = self.db.begin().await?;
                insert(&mut tx, &order).await?;
                if crashes_after(1, number) {
                    return Ok(());
                }
                self.outbox.emit(&mut tx, &order).await?;
                if crashes_after(2, number) {
                    return Ok(());
                }
                self.db.commit(tx).await?;
            }
        }
        Ok(())
    }

    async fn publish(&self, order: &OrderPlaced) -> Outcome<()> {
        let message = self.outbox.message(order)?;
        let outcomes = self.broker.publisher().publish(&[message]).await;
        match outcomes.as_slice() {
            [PublishOutcome::Acknowledged] => Ok(()),
            other => Err(format!("the broker did not take the event: {other:?}").into()),
        }
    }

    /// The relay of the restarted process publishes what the outbox holds.
    async fn restart(&self) -> Outcome<()> {
        let relay = Relay::new(self.outbox.clone(), self.broker.publisher()).spawn();
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(5));
        loop {
            ticks.tick().await;
            let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox")
                .fetch_one(self.db.reader())
                .await?;
            if left == 0 {
                break;
            }
        }
        relay.shutdown().await?;
        Ok(())
    }

    async fn wrong(&self) -> Outcome<Wrong> {
        let orders: Vec<String> = sqlx::query_scalar("SELECT id FROM orders")
            .fetch_all(self.db.reader())
            .await?;
        let orders: BTreeSet<String> = orders.into_iter().collect();
        let mut events = BTreeSet::new();
        for partition in self.broker.partitions() {
            for record in self.broker.records(&partition, 0) {
                if let Content::Message(message) = record.content {
                    events.extend(message.key.map(|key| key.to_string()));
                }
            }
        }
        Ok(Wrong {
            lost: orders.difference(&events).count(),
            invented: events.difference(&orders).count(),
        })
    }
}

async fn insert(connection: &mut SqliteConnection, order: &OrderPlaced) -> Outcome<()> {
    sqlx::query("INSERT INTO orders (id) VALUES ($1)")
        .bind(&order.id)
        .execute(connection)
        .await?;
    Ok(())
}

async fn run(way: Way) -> Outcome<Wrong> {
    let directory = tempfile::tempdir()?;
    let db = Database::open(directory.path().join("orders.db")).await?;
    let mut tx = db.begin().await?;
    sqlx::query("CREATE TABLE orders (id TEXT PRIMARY KEY) STRICT")
        .execute(&mut *tx)
        .await?;
    db.commit(tx).await?;
    let broker = Broker::new();
    broker.create_topic("orders", 4).await?;
    let outbox = SqliteOutbox::builder(&db).source("/orders").open().await?;
    let service = Service { db, broker, outbox };
    for number in 0..ORDERS {
        service.place(way, number).await?;
    }
    service.restart().await?;
    service.wrong().await
}

#[tokio::main]
async fn main() -> Outcome<()> {
    println!("{ORDERS} orders, half of them crash\n");
    println!("{:<14} {:>5} {:>9}", "way", "lost", "invented");
    for (name, way) in [
        ("publish first", Way::PublishFirst),
        ("write first", Way::WriteFirst),
        ("outbox", Way::Outbox),
    ] {
        let Wrong { lost, invented } = run(way).await?;
        println!("{name:<14} {lost:>5} {invented:>9}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_outbox_loses_and_invents_nothing() {
        let (lost, invented) = (0, 20);
        assert_eq!(
            run(Way::PublishFirst).await.unwrap(),
            Wrong { lost, invented }
        );
        let (lost, invented) = (10, 0);
        assert_eq!(
            run(Way::WriteFirst).await.unwrap(),
            Wrong { lost, invented }
        );
        let (lost, invented) = (0, 0);
        assert_eq!(run(Way::Outbox).await.unwrap(), Wrong { lost, invented });
    }
}
