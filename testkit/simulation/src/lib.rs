//! Services on mainstay, simulated.
//!
//! A test that kills a process, loses an answer or stops a clock once has shown one order of events. Here the same engines run on hosts of a
//! simulated world, in time that jumps, under faults that follow from a number, tens of thousands of times; and whatever fails, fails again.
//!
//! # What is guaranteed
//!
//! | guaranteed | on what it rests |
//! |---|---|
//! | The same seed and plan give the same run, event by event. | One thread, tokio's paused clock, seeded ids, no `select!` that draws; two tests compare [hashes](Sim::hash). |
//! | Every fault of a run stands in its [`Plan`] before it begins, can be printed, and can be left out. | Ports ask the plan, and nothing draws while the world goes on. |
//! | A fault counts only if it struck. | Where it strikes, it is noted. |
//! | What runs on a host that was killed or is paused reaches nothing, whatever it had spawned. | Everything that goes out passes a [`Process`]. |
//!
//! | not guaranteed | what to do |
//! |---|---|
//! | That a paused host does nothing at all: a task it had spawned still lets its own timers end. | Nothing comes out of it until it goes on. |
//! | That what production does is done: clocks that run fast or slow, and answers of the database that are late without a pause, are not simulated. | The same engines run against real servers in `testkit/chaos`. |
//! | That a seed stays the same run when the code that is simulated changes. | A test of its own for each bug. |
//!
//! # Quickstart
//!
//! A relay is killed while it works, and a commit loses its answer; a writer asks again. In the end each message is there.
//!
//! ```
//! # use std::{sync::Arc, time::Duration};
//! # use mainstay_database::Transactions as _;
//! # use mainstay_messaging::{Kind, Message, MessageId, Source, Topic};
//! # use mainstay_outbox::{Outbox as _, Relay, memory::{MemoryOutbox, Options}};
//! # use mainstay_simulation::{Act, Fault, Plan, Port, Process, Sim, Strike};
//! # fn message(id: String) -> Message { Message::with_id(MessageId::new(id).unwrap(), Source::from_static("/shop"), Topic::from_static("orders"), Kind::from_static("Placed")) }
//! async fn relay(process: Process) -> Result<(), mainstay_outbox::Error> {
//!     let outbox = MemoryOutbox::open(process.database(), Options::default()).await?;
//!     let relay = Relay::new(Arc::new(outbox), Arc::new(process.publisher()));
//!     relay.clock(process.clock()).ids(process.ids()).run(process.shutdown()).await
//! }
//!
//! let second = Duration::from_secs(1);
//! let lost = Strike::Call { host: "relay".into(), port: Port::Publish, call: 1, fault: Fault::AnswerLost };
//! let killed = Strike::At(second, Act::Kill("relay".into(), second));
//! let sim = Sim::planned(42, Plan::of(vec![lost, killed]))?;
//! sim.run(async {
//!     sim.broker().create_topic(&Topic::from_static("orders"), 3).await.unwrap();
//!     let outbox = MemoryOutbox::open(sim.database().clone(), Options::default()).await.unwrap();
//!     sim.host("relay", relay);
//!     for number in 0..20 {
//!         let mut tx = sim.database().begin().await.unwrap();
//!         outbox.enqueue(&mut tx, &message(number.to_string())).await.unwrap();
//!         sim.database().commit(tx).await.unwrap();
//!         tokio::time::sleep(second / 10).await;
//!     }
//!     sim.heal();
//!     while !outbox.look().rows.is_empty() {
//!         tokio::time::sleep(second).await;
//!     }
//! });
//! let log = |partition| sim.broker().records(partition, 0).len();
//! assert!(sim.broker().partitions().iter().map(log).sum::<usize>() >= 20);
//! assert_eq!((sim.struck(), sim.broken()), (vec![1, 1], vec![]));
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! What was seen goes into a [`History`](mainstay_testkit::History), and [its checkers](mainstay_testkit::check) judge it.
//!
//! # A service of yours
//!
//! [`simulate`] plays your scenario with many seeds, each with a plan of its own, and shortens the plan of the first that fails. Its page shows a
//! service of two instances in some twenty lines beside the service's own; the example application's inventory is simulated so, with
//! inbox and outbox.
//!
//! # How it works
//!
//! [`Sim::run`] drives one tokio runtime with paused time: nobody waits for anything but others, and when all wait for time, it jumps. A
//! [host](Sim::host) is a factory: killed, what it made is dropped; started, it is called again. What runs there reaches database and broker
//! through its [`Process`]. Each call there is counted, written into the run's hash, and struck if the plan says so.
//!
//! | fault | how |
//! |---|---|
//! | a host is killed, lost for good, asked to end, paused, cut off; its wall clock jumps | [`Act`], at a time |
//! | a statement, a commit (in all three kinds of *unknown*), a begin fails or stalls | [`Fault`], at the k-th call of a host's [`Port`] |
//! | messages are lost, refused, come twice, half, late, or again much later; their answers too | the same; [`Act::Refuse`] |
//! | deliveries come late, or are lost and come again; commits of offsets fail, or their answers | the same |
//! | partitions change hands with and without notice | [`Act::Rebalance`], [`Act::Expel`], a pause longer than the lease |
//! | what is published or committed takes a while, there and back | every second host is up to 128 ms away, as the seed has it, heal or not |
//! | database or broker are away; transactions outlive their clients | [`Act::DatabaseDown`], [`Act::BrokerDown`], [`Act::Linger`] |
//! | handlers fail, panic, are late, refuse a message | [`Process::handles`], [`Act::Poison`] |
//!
//! After [`Sim::heal`] nothing strikes any more, and everything must come to its end.
//!
//! # The standard scenario
//!
//! [`run`] plays it for a seed: two writers, an outbox with up to four shards, two or three relays, a broker with three partitions, two workers,
//! an effect per message; at least 30 messages and three faults that struck. [`campaign`] runs many seeds on all cores, [`shrink`] finds
//! the shortest plan of a failure, and [`corpus`] lists seeds that fail with bugs that were found. From the command line:
//!
//! ```console
//! $ cargo xtask simulate --seeds 100000
//! $ cargo xtask simulate --seed 226 --plan 17,20 --trace
//! $ cargo xtask soak --minutes 60
//! ```
//!
//! # Failure modes
//!
//! | what happens | what follows |
//! |---|---|
//! | A run does not come to its end. | After a bounded time of the simulated world this is a violation. |
//! | Something turns in a circle without waiting for time. | After two million events the host is killed, and this is a violation. |
//! | A host panics or ends with an error. | [`Sim::broken`], and a violation of the standard scenario. |
//!
//! # Features
//!
//! None.

mod campaign;
mod corpus;
mod dice;
mod host;
#[cfg(mainstay_planted)]
pub mod mutants;
mod plan;
mod process;
mod report;
mod run;
mod scenario;
mod shop;
mod shrink;
mod sim;
mod world;

pub use campaign::{Campaign, Tally, campaign};
pub use corpus::corpus;
pub use dice::Dice;
pub use host::Host;
pub use plan::{Act, Crew, Fault, Plan, Port, Reach, Strike};
pub use process::{HostConsumer, HostPublisher, Process};
pub use report::Report;
pub use run::{Settings, planned, run};
pub use scenario::{entry, judge, simulate};
pub use shrink::{Failure, shrink};
pub use sim::Sim;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
