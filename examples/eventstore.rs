//! Eight clerks sell one scarce item, whose stock is the fold of its events. No clerk sells more than there is.
//!
//! ```console
//! $ cargo run -p mainstay-examples --bin eventstore -- DIRECTORY
//! ```
//!
//! A clerk loads the stock, thinks, and appends behind the version that the decision was made on. If
//! another clerk was first, the append is refused, and the clerk decides again. The table `sales` is
//! written in the same transaction. At the end it is made anew from the events, and is the same.
//!
//! Kill it at any moment and run it again.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, path::PathBuf};

use async_trait::async_trait;
use mainstay_eventstore::{
    Aggregate, Error as StoreError, Event, EventStore as _, Loaded, Projection, ProjectionError,
    Rebuild, Recorded, Snapshots, SqliteEventStore,
    database::sqlite::Database,
    events,
    sqlx::{self, SqliteConnection},
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Delivered {
    units: u64,
}

#[derive(Serialize, Deserialize)]
struct Sold {
    clerk: String,
}

impl Event for Delivered {
    const TOPIC: &'static str = "stock";
    const KIND: &'static str = "Delivered";
}

impl Event for Sold {
    const TOPIC: &'static str = "stock";
    const KIND: &'static str = "Sold";
}

events! { enum StockEvent { Delivered, Sold } }

#[derive(Serialize, Deserialize, Default)]
struct Stock {
    units: u64,
}

impl Aggregate for Stock {
    const STREAM: &'static str = "stock";
    const SNAPSHOTS: Option<Snapshots<Self>> = Some(Snapshots::json(1).every(50));
    type Event = StockEvent;

    fn apply(&mut self, event: &StockEvent) {
        match event {
            StockEvent::Delivered(delivered) => self.units += delivered.units,
            StockEvent::Sold(_) => self.units -= 1,
        }
    }
}

impl Stock {
    /// The decision, which a test needs no store for.
    fn sell(&self, clerk: &str) -> Option<Sold> {
        let clerk = clerk.to_owned();
        (self.units > 0).then_some(Sold { clerk })
    }
}

/// One row per sale.
struct Sales;

#[async_trait]
impl Projection<SqliteConnection> for Sales {
    const NAME: &'static str = "sales";
    const SHAPE: u32 = 1;
    type Aggregate = Stock;

    async fn reset(&self, tx: &mut SqliteConnection) -> Result<(), ProjectionError> {
        sqlx::query("DELETE FROM sales").execute(tx).await?;
        Ok(())
    }

    async fn project(
        &self,
        tx: &mut SqliteConnection,
        events: &[Recorded<StockEvent>],
    ) -> Result<(), ProjectionError> {
        for recorded in events {
            if let StockEvent::Sold(sold) = &recorded.event {
                record_sale(tx, recorded.version, &sold.clerk).await?;
            }
        }
        Ok(())
    }
}

async fn record_sale(
    tx: &mut SqliteConnection,
    version: u64,
    clerk: &str,
) -> Result<(), ProjectionError> {
    sqlx::query("INSERT INTO sales (number, clerk) VALUES ($1, $2)")
        .bind(i64::try_from(version)?)
        .bind(clerk)
        .execute(tx)
        .await?;
    Ok(())
}

type Failure = Box<dyn Error + Send + Sync>;

const ITEM: &str = "mug";
const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS sales (number INTEGER PRIMARY KEY, clerk TEXT NOT NULL) STRICT";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let directory = std::env::args().nth(1);
    let directory = PathBuf::from(directory.ok_or("usage: eventstore DIRECTORY")?);
    std::fs::create_dir_all(&directory)?;
    let db = Database::open(directory.join("stock.db")).await?;
    let store = SqliteEventStore::builder(&db).open().await?;

    let mut tx = db.begin().await?;
    sqlx::query(SCHEMA).execute(&mut *tx).await?;
    let mut stock: Loaded<Stock> = store.load(&mut tx, ITEM).await?;
    store
        .append(&mut tx, ITEM, &mut stock, [Delivered { units: 100 }])
        .await?;
    db.commit(tx).await?;
    println!(
        "{} units are there, after {} events",
        stock.units,
        stock.version()
    );

    let clerks =
        (1..=8).map(|nth| tokio::spawn(clerk(db.clone(), store.clone(), format!("clerk {nth}"))));
    for clerk in clerks.collect::<Vec<_>>() {
        println!("{}", clerk.await??);
    }

    let before = sales(&db).await?;
    let rebuild = Rebuild::new(store.clone(), Sales);
    rebuild.restart().await?;
    let progress = rebuild
        .run_until(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    if progress.is_done && sales(&db).await? != before {
        return Err("the table made anew is another one".into());
    }
    println!(
        "{} sales, made anew from {} events",
        before.len(),
        progress.events
    );
    Ok(())
}

/// Sells until nothing is left.
async fn clerk(db: Database, store: SqliteEventStore, name: String) -> Result<String, Failure> {
    let (mut sold, mut conflicts) = (0, 0);
    loop {
        let mut tx = db.begin().await?;
        let mut stock: Loaded<Stock> = store.load(&mut tx, ITEM).await?;
        drop(tx);
        // The others go on while this one thinks.
        tokio::task::yield_now().await;
        let Some(sale) = stock.sell(&name) else { break };
        let mut tx = db.begin().await?;
        match store.append(&mut tx, ITEM, &mut stock, [sale]).await {
            Ok(()) => {
                record_sale(&mut tx, stock.version(), &name).await?;
                db.commit(tx).await?;
                sold += 1;
            }
            Err(StoreError::Conflict { .. }) => conflicts += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(format!(
        "{name} has sold {sold}, and decided again {conflicts} times"
    ))
}

async fn sales(db: &Database) -> Result<Vec<(i64, String)>, Failure> {
    let rows = sqlx::query_as("SELECT number, clerk FROM sales ORDER BY number");
    Ok(rows.fetch_all(db.reader()).await?)
}
