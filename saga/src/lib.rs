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
//! # #[cfg(not(feature = "sqlite"))] fn main() {}
//! # #[cfg(feature = "sqlite")] mod example {
//! use mainstay_saga::{Command, Compensable, Definition, Never, Orchestrator, Outcome, Saga, SqliteSagas, messages};
//! use mainstay_saga::{database::sqlite::Database, messaging::sqlite::Broker, outbox::{Relay, SqliteOutbox}};
//! use serde::{Deserialize, Serialize};
//! # use mainstay_saga::{Answer, Participant, Query, Status, sqlx::SqliteConnection};
//! # use mainstay_saga::inbox::{HandlerError, Received, SqliteInbox, Worker};
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
//! # type Tx = SqliteConnection;
//! # async fn reserve(_: &mut Tx, _: Received<ReserveStock>) -> Result<Answer<ReserveStock>, HandlerError> {
//! #     Ok(Answer::Done(StockReserved { hold: "h-1".into() }))
//! # }
//! # async fn release(_: &mut Tx, _: Received<ReleaseStock>) -> Result<StockReleased, HandlerError> {
//! #     Ok(StockReleased {})
//! # }
//! # async fn pay(_: &mut Tx, command: Received<Pay>) -> Result<Answer<Pay>, HandlerError> {
//! #     if command.event.cents > 1_000 { return Ok(Answer::Refused(Declined {})) }
//! #     Ok(Answer::Done(Paid { receipt: "r-1".into() }))
//! # }
//! # async fn ship(_: &mut Tx, _: Received<Ship>) -> Result<Answer<Ship>, HandlerError> {
//! #     Ok(Answer::Done(Shipped {}))
//! # }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # std::env::set_current_dir(&directory)?;
//! let broker = Broker::open("log.db").await?;
//! for topic in ["stock-commands", "stock", "payment-commands", "payments", "shipping-commands", "shipping"] {
//!     broker.create_topic(topic, 4).await?; // one that exists stays as it is
//! }
//! let db = Database::open("orders.db").await?; // with the service's own tables
//! let outbox = SqliteOutbox::builder(&db).source("/orders").open().await?;
//! let relay = Relay::new(outbox.clone(), broker.publisher()).spawn(); // publishes the commands
//! let sagas = SqliteSagas::builder(&db).open().await?;                // creates its tables
//! # let handlers = Participant::new(sagas.clone(), outbox.clone()).handlers();
//! # let handlers = handlers.on_undoable(reserve, release).on(pay).on(ship);
//! # let inbox = SqliteInbox::builder(&db).open().await?;
//! # let commands = broker.consumer("shop").subscribe(["stock-commands", "payment-commands", "shipping-commands"]).await?;
//! # let shop = Worker::new(inbox, commands).handlers(handlers.build()).spawn();
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
//! relay.shutdown().await?;
//! # shop.shutdown().await?;
//! # Ok(())
//! # } }
//! # #[cfg(feature = "sqlite")] fn main() { example::main().unwrap() }
//! ```
//!
//! On a `PgPool` that exists: `PostgresSagas::builder(&pool).open()`, with a `PostgresOutbox`.
//!
//! The other side: a participant answers in the transaction of its effect; see [`Participant`].
//!
//! # What is guaranteed
//!
//! | guaranteed | because |
//! |---|---|
//! | A run ends with all steps done or all steps undone, or is listed as overdue or broken. | [`check::check_all_interleavings`] explores every order of messages with any two faults. |
//! | A run exists if and only if the transaction that started it committed. | Its row and its first command are part of that transaction. |
//! | A business key has one run at a time. Once that has ended, it may have another. | A unique index over runs that have not ended. |
//! | A late, repeated or foreign reply changes nothing. | A reply counts only if its causation id names the command that its run waits for. Command ids carry the run: `run:step:attempt`. |
//! | A command is repeated under a new id only after a known refusal. | The attempt rises with a refusal, never with a timeout. |
//! | Once the pivot was sent, nothing is undone unless the pivot is refused. | A timeout then reports, and a cancel is undecided. |
//! | A compensation (undo) never overtakes the command that it undoes, and is not given up. | Both go to one topic and key; the participant's worker retries, then dead-letters, and the run is overdue. |
//! | Nothing needs recovery after `kill -9`. | No process owns a run. A reply is handled by any worker, a timer by any process. |
//! | A run that cannot go on stops no other. | It is `broken`, keeps the replies that it could not take, and waits for an operator. |
//! | A run is continued by its own definition only. | Version, and a fingerprint over stages, names, kinds and undos, are stored with each run. |
//! | Every act of an operator is recorded: who, when, why, for as long as its run is kept. | It is an entry of the run's journal, in the transaction of the act. |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | Isolation: others see a step's effect before the saga has ended. | Let steps hold (reserve, authorize) and the pivot decide. |
//! | All done or all undone, if a participant breaks its [laws](Participant#laws-of-a-participant). | Check its handlers with [`laws::participant`]. |
//! | That a start which is repeated after its run has ended starts nothing. | Guard it with a row of your own in the same transaction, such as the order's. |
//! | That a skipped step has no effect at its participant. | Look before you skip. |
//!
//! # How it works
//!
//! One transaction holds the run's row, its journal, the next commands in the outbox, and what
//! observers write. The relay publishes a command; the participant's worker handles it and answers
//! through its own outbox; the saga's worker reads the reply, locks the row, and goes on:
//!
//! | what comes | before the pivot is sent | while the pivot is undecided | once it is done |
//! |---|---|---|---|
//! | done | next stage | next stage | next stage |
//! | refused, worth a retry | next attempt after a delay | next attempt after a delay | cannot be |
//! | refused for good | undo in reverse order | undo in reverse order | cannot be |
//! | timeout, deadline | undo, the step in flight too | report as overdue | report as overdue |
//! | cancel | undo, the step in flight too | remembered: no further attempt | too late |
//!
//! A *stage* is one step or a [group](Saga::parallel). A stage is undone at once, stages one by one.
//! [`engine::advance`] is the whole protocol, as a pure function.
//!
//! # Versions
//!
//! Raise the version whenever steps change, and keep the old definition with
//! [`older`](OrchestratorBuilder::older) until its runs have ended. An unknown one is refused with
//! [`Error::Incompatible`], and left untouched: its replies block their key or are dead-lettered, and
//! go on with a build that knows it. A run whose state a newer version of this crate has saved in a
//! form of its own is refused with [`Error::NewerState`], in the same way. Call [`check_live`](Orchestrator::check_live) before a
//! deployment and at the start. Commands, replies and results are events, with versions and
//! upcasters of their own. The input is one type for all versions: give new fields a default.
//!
//! # Failure modes
//!
//! | what happens | what follows |
//! |---|---|
//! | A process dies. | Its transaction is rolled back; the reply is delivered again, the timer is due again. |
//! | The answer to a commit is lost. | The reply is taken again, and changes nothing if the commit was applied. |
//! | A participant is down. | Before the pivot the run is undone after the step's timeout; its undo waits for the participant. Behind it the run is overdue. |
//! | A command is dead-lettered at its participant. | The run is overdue, or undoing and overdue. Replay the dead letter, or skip the step. |
//! | A reply does not decode, or the code of a step panics. | The run is broken, and keeps the reply. Deploy a corrected build and retry, or skip the step. |
//! | An older build of this crate finds a run of a newer one. | It leaves it untouched: its replies block their key, its timer is looked at again after 30 s. In lists it may be shown as broken. |
//! | A local step or an observer fails. | The transition is rolled back; the worker tries the reply again, and its failure policy decides. A timer is postponed by 30 s. |
//! | A row is damaged. | [`Error::Damaged`] names the run. Its replies block their key; its timer shows it as broken. |
//! | No timers run. | Runs wait for replies only: nothing times out, and no attempt is repeated. |
//!
//! # Schema
//!
//! | table | rows |
//! |---|---|
//! | `saga_runs` | one per run: its state, and what lists need; deleted 30 days after its end ([`Timers::retention`]) |
//! | `saga_journal` | what happened to each run; deleted with it |
//! | `saga_steps` | at participants: steps with an undo that were begun or undone; delete old ones with [`prune`](Participant::prune) |
//! | `saga_schema` | the schema's version |
//!
//! [`store`] has their columns and indexes. The builder's `namespace` puts them under a prefix, and on
//! PostgreSQL into a schema.
//!
//! # Metrics
//!
//! Counters, with the label `saga`. A transaction that is rolled back is counted again.
//!
//! | name | unit |
//! |---|---|
//! | `mainstay_saga_started` | runs |
//! | `mainstay_saga_ended` | runs; `outcome` = `completed`, `undone` |
//! | `mainstay_saga_overdue` | reports of a run as overdue |
//! | `mainstay_saga_broken` | runs that broke |
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `memory` (default) | sagas in the in-memory database, for tests and simulations |
//! | `sqlite` | sagas in a SQLite file |
//! | `postgres` | sagas in a PostgreSQL database |
//! | `conformance` | the contract of a store as public tests |
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod builder;
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
#[cfg(all(doctest, feature = "sqlite"))]
mod readme;
mod run;
pub mod saga;
pub mod state;
pub mod store;
mod time;
pub mod timeline;
mod timers;

#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use builder::SagasBuilder;
pub use command::{Answer, Command, Compensable, Never, Outcome};
pub use definition::Definition;
pub use document::Document;
pub use engine::Cancellation;
pub use error::Error;
#[cfg(feature = "memory")]
pub use memory::MemorySagas;
pub use operator::{Desk, Query, Signature};
pub use orchestrator::{Observer, Orchestrator, OrchestratorBuilder, Started, Transition};
pub use participant::{CommandHandlers, Participant, Task, UndoTask};
#[cfg(feature = "postgres")]
pub use postgres::PostgresSagas;
pub use run::{Attempt, CommandId, NotACommandId, RunId};
pub use saga::Saga;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteSagas;
pub use state::Status;
pub use timers::{Timers, TimersHandle, TimersStatus};

pub use mainstay_clock as clock;
pub use mainstay_database as database;
pub use mainstay_inbox as inbox;
pub use mainstay_messaging as messaging;
pub use mainstay_outbox as outbox;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sqlx;
