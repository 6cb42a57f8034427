//! Places an order in three ways, crashes after each step, and counts what each way loses.
//!
//! ```console
//! $ cargo run -p mainstay-examples --bin dual_write
//! ```
//!
//! The crashes are real: a child process aborts after the step, and none of its code runs again.
//! Then this process opens the same files, as a restarted service does, and runs the relay.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error, path::Path, process, time::Duration};

use mainstay_outbox::{
    Event, Outbox as _, Relay, SqliteOutbox,
    database::sqlite::Database,
    messaging::{Publisher as _, broker::PublishOutcome, sqlite::Broker},
    sqlx::{self, SqliteConnection},
};
use serde::{Deserialize, Serialize};

/// The ways to place an order, with their steps.
const WAYS: [(&str, [&str; 3]); 3] = [
    ("publish first", ["publish", "insert", "commit"]),
    ("write first", ["insert", "commit", "publish"]),
    ("outbox", ["insert", "emit", "commit"]),
];

type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Serialize, Deserialize)]
struct OrderPlaced {
    id: String,
}

impl Event for OrderPlaced {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "OrderPlaced";
}

struct Service {
    db: Database,
    log: Database,
    broker: Broker,
    outbox: SqliteOutbox,
}

impl Service {
    async fn open(directory: &Path) -> Outcome<Self> {
        let db = Database::open(directory.join("orders.db")).await?;
        let mut tx = db.begin().await?;
        sqlx::query("CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY) STRICT")
            .execute(&mut *tx)
            .await?;
        db.commit(tx).await?;
        let log = Database::open(directory.join("log.db")).await?;
        let broker = Broker::builder_on(&log).open().await?;
        broker.create_topic("orders", 1).await?;
        let outbox = SqliteOutbox::builder(&db).source("/orders").open().await?;
        Ok(Self {
            db,
            log,
            broker,
            outbox,
        })
    }

    async fn place(&self, way: &str, crash_after: &str) -> Outcome<()> {
        let crash = |step| {
            if step == crash_after {
                process::abort();
            }
        };
        let order = OrderPlaced { id: "17".into() };
        if way == "publish first" {
            self.publish(&order).await?;
            crash("publish");
        }
        let mut tx = self.db.begin().await?;
        insert(&mut tx, &order).await?;
        crash("insert");
        if way == "outbox" {
            self.outbox.emit(&mut tx, &order).await?;
            crash("emit");
        }
        self.db.commit(tx).await?;
        crash("commit");
        if way == "write first" {
            self.publish(&order).await?;
            crash("publish");
        }
        Ok(())
    }

    async fn publish(&self, order: &OrderPlaced) -> Outcome<()> {
        let message = self.outbox.message(order)?;
        match *self.broker.publisher().publish(&[message]).await {
            [PublishOutcome::Acknowledged] => Ok(()),
            ref other => Err(format!("the broker did not take the event: {other:?}").into()),
        }
    }

    /// Publishes what the outbox holds.
    async fn relay(&self) -> Outcome<()> {
        let relay = Relay::new(self.outbox.clone(), self.broker.publisher()).spawn();
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while count(&self.db, "SELECT count(*) FROM outbox").await? > 0 {
            ticks.tick().await;
        }
        Ok(relay.shutdown().await?)
    }
}

async fn insert(connection: &mut SqliteConnection, order: &OrderPlaced) -> Outcome<()> {
    sqlx::query("INSERT INTO orders (id) VALUES ($1)")
        .bind(&order.id)
        .execute(connection)
        .await?;
    Ok(())
}

async fn count(db: &Database, rows: &'static str) -> Outcome<i64> {
    Ok(sqlx::query_scalar(rows).fetch_one(db.reader()).await?)
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [directory, way, crash_after] = &*arguments {
        let service = Service::open(Path::new(directory)).await?;
        return service.place(way, crash_after).await;
    }
    println!("way            crash after  orders  events");
    for (way, steps) in WAYS {
        let (mut lost, mut invented) = (0, 0);
        for step in steps {
            let directory = tempfile::tempdir()?;
            let mut child = process::Command::new(env::current_exe()?);
            let ended = child.arg(directory.path()).args([way, step]).status()?;
            if ended.success() || ended.code() == Some(1) {
                return Err(format!("{way}: the process did not crash after {step}").into());
            }
            let service = Service::open(directory.path()).await?;
            service.relay().await?;
            let orders = count(&service.db, "SELECT count(*) FROM orders").await?;
            let events = count(&service.log, "SELECT count(*) FROM broker_records").await?;
            lost += (orders - events).max(0);
            invented += (events - orders).max(0);
            println!("{way:<14} {step:<12} {orders:>6} {events:>7}");
        }
        println!("{way:<14} {lost} lost, {invented} invented\n");
    }
    Ok(())
}
