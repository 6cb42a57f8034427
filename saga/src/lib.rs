//! Sagas: steps across services that end all done or all undone, without locks across services.
//!
//! An order takes stock in one service, money in another and a parcel in a third. There is no
//! transaction over all three. If the card is declined after the stock was reserved, somebody must
//! give the stock back (compensation), even if processes are killed on the way, answers come late
//! or twice, and a service is down.
//!
//! **Guarantee:** each run ends with all steps done or all steps undone. Until then it is in
//! progress, or listed as overdue or broken; it is never forgotten.
//!
//! # Quickstart
//!
//! ```
//! # #[cfg(not(feature = "memory"))] fn main() {}
//! # #[cfg(feature = "memory")] mod example {
//! use mainstay_saga::{Command, Compensable, Definition, Never, Orchestrator, Outcome, Saga, messages};
//! use serde::{Deserialize, Serialize};
//! # use mainstay_saga::{MemorySagas, Participant, Query, Status, database::memory::{Connection, Database}};
//! # use mainstay_saga::{inbox::{HandlerError, MemoryInbox, Received, Worker}, messaging::memory::Broker};
//! # use mainstay_saga::outbox::{Relay, memory::MemoryOutbox};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order { id: String, cents: i64 }
//!
//! messages! { // each service has a topic for its commands and one for its replies
//!     "stock-commands" { ReserveStock { order: String }, ReleaseStock { order: String } }
//!     "stock" { StockReserved { hold: String }, OutOfStock {}, StockReleased {} }
//!     "payment-commands" { Pay { order: String, cents: i64 } }
//!     "payments" { Paid { receipt: String }, Declined {} }
//!     "shipping-commands" { Ship { order: String, hold: String, receipt: String } }
//!     "shipping" { Shipped {} }
//! }
//!
//! impl Command for ReserveStock { type Done = StockReserved; type Refused = OutOfStock; }
//! impl Compensable for ReserveStock {
//!     type Undo = ReleaseStock;
//!     type Undone = StockReleased;
//!     fn undo(&self, _: Outcome<'_, StockReserved>) -> ReleaseStock { ReleaseStock { order: self.order.clone() } }
//! }
//! impl Command for Pay { type Done = Paid; type Refused = Declined; }
//! impl Command for Ship { type Done = Shipped; type Refused = Never; }
//!
//! fn place_order() -> Definition<Order> {
//!     let mut saga = Saga::new("place-order", 1);
//!     let stock = saga.step((), |order: &Order, ()| ReserveStock { order: order.id.clone() });
//!     let (mut saga, paid) = saga.pivot((), |order, ()| Pay { order: order.id.clone(), cents: order.cents });
//!     saga.then((stock, paid), |order, (stock, paid)| Ship {
//!         order: order.id.clone(), hold: stock.hold, receipt: paid.receipt,
//!     });
//!     saga.build()
//! }
//! # async fn reserve(tx: &mut Connection, command: Received<ReserveStock>, kit: Kit) -> Result<(), HandlerError> {
//! #     let Some(task) = kit.begin(tx, &command).await? else { return Ok(()) };
//! #     kit.done(tx, &task, &StockReserved { hold: "h-1".into() }).await?;
//! #     Ok(())
//! # }
//! # async fn release(tx: &mut Connection, undo: Received<ReleaseStock>, kit: Kit) -> Result<(), HandlerError> {
//! #     let (_, task) = kit.undo::<ReserveStock>(tx, &undo).await?;
//! #     kit.undone(tx, &task, &StockReleased {}).await?;
//! #     Ok(())
//! # }
//! # async fn pay(tx: &mut Connection, command: Received<Pay>, kit: Kit) -> Result<(), HandlerError> {
//! #     let Some(task) = kit.begin(tx, &command).await? else { return Ok(()) };
//! #     if command.event.cents > 1_000 { kit.refused(tx, &task, &Declined {}).await?; return Ok(()) }
//! #     kit.done(tx, &task, &Paid { receipt: "r-1".into() }).await?;
//! #     Ok(())
//! # }
//! # async fn ship(tx: &mut Connection, command: Received<Ship>, kit: Kit) -> Result<(), HandlerError> {
//! #     let Some(task) = kit.begin(tx, &command).await? else { return Ok(()) };
//! #     kit.done(tx, &task, &Shipped {}).await?;
//! #     Ok(())
//! # }
//! # type Kit = Participant<MemorySagas, MemoryOutbox>;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let broker = Broker::new();
//! # for topic in ["stock-commands", "stock", "payment-commands", "payments", "shipping-commands", "shipping"] {
//! #     broker.create_topic(topic, 1).await?;
//! # }
//! # let db = Database::new();
//! # let outbox = MemoryOutbox::builder(&db).source("/orders").open().await?;
//! # let relay = Relay::new(outbox.clone(), broker.publisher()).spawn();
//! # let kit = Participant::new(MemorySagas::new(&db), outbox.clone());
//! # let commands = broker.consumer("shop").subscribe(["stock-commands", "payment-commands", "shipping-commands"]).await?;
//! # let shop = Worker::new(MemoryInbox::new(&db), commands).with_state(kit).on(reserve).on(release).on(pay).on(ship).spawn();
//! let sagas = MemorySagas::new(&db); // or SqliteSagas, PostgresSagas: builder(&db).open().await?
//! let place_order = Orchestrator::builder(place_order(), sagas, outbox).build()?;
//! let replies = broker.consumer("place-order").subscribe(["stock", "payments", "shipping"]).await?;
//! let worker = place_order.worker(replies).spawn(); // an inbox worker
//! let timers = place_order.timers().spawn();        // timeouts and retries
//!
//! let order = Order { id: "17".into(), cents: 900 };
//! let mut tx = db.begin().await?;
//! // … the order's own rows, in the same transaction …
//! let started = place_order.start(&mut tx, &order.id, &order).await?; // at most one run at a time per key
//! db.commit(tx).await?;
//! # let dear = Order { id: "18".into(), cents: 9_000 };
//! # let mut tx = db.begin().await?;
//! # assert!(place_order.start(&mut tx, &dear.id, &dear).await?.is_new());
//! # db.commit(tx).await?;
//! # let desk = place_order.desk();
//! # while desk.count(&Query::all().status(Status::Completed)).await? < 1 { tokio::time::sleep(std::time::Duration::from_millis(5)).await; }
//! # while desk.count(&Query::all().status(Status::Undone)).await? < 1 { tokio::time::sleep(std::time::Duration::from_millis(5)).await; }
//!
//! println!("{}", place_order.desk().timeline(started.run()).await?);
//! worker.shutdown().await?; // at the end of the process
//! timers.shutdown().await;
//! # shop.shutdown().await?;
//! # relay.shutdown().await?;
//! # Ok(())
//! # } }
//! # #[cfg(feature = "memory")] fn main() { example::main().unwrap() }
//! ```
//!
//! The other side: a participant answers in the transaction of its effect; see [`Participant`].
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

pub mod check;
mod command;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod definition;
mod document;
pub mod engine;
mod error;
pub mod handler;
pub mod journal;
pub mod laws;
mod mermaid;
pub mod operator;
mod orchestrator;
mod participant;
mod raw_reply;
mod run;
pub mod saga;
pub mod state;
pub mod store;
mod time;
pub mod timeline;
mod timers;

#[cfg(feature = "memory")]
pub mod memory;

pub use command::{Answer, Command, Compensable, Never, Outcome, Unrefusable};
pub use definition::Definition;
pub use document::Document;
pub use engine::Cancellation;
pub use error::Error;
#[cfg(feature = "memory")]
pub use memory::MemorySagas;
pub use operator::{Desk, Query, Signature};
pub use orchestrator::{Observer, Orchestrator, OrchestratorBuilder, Started, Transition};
pub use participant::{Participant, Task, UndoTask};
pub use run::{Attempt, CommandId, NotACommandId, RunId};
pub use saga::Saga;
pub use state::Status;
pub use timers::{Timers, TimersHandle, TimersStatus};

pub use mainstay_clock as clock;
pub use mainstay_database as database;
pub use mainstay_inbox as inbox;
pub use mainstay_messaging as messaging;
pub use mainstay_outbox as outbox;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sqlx;
