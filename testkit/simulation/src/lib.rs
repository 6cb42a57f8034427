#![doc = include_str!("../README.md")]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod campaign;
mod host;
mod plan;
mod process;
mod rng;
mod run;
mod sagas;
mod scenario;
mod shop;
mod shrink;
mod sim;
pub mod standard;
mod world;

pub use host::Host;
pub use plan::{Act, CallFault, Fault, Plan, Port, Reach, Topology};
pub use process::{HostConsumer, HostPublisher, Process};
pub use rng::Rng;
pub use scenario::{entry, judge, simulate};
pub use sim::Sim;

pub use mainstay_clock as clock;
pub use mainstay_database as database;
pub use mainstay_history as history;
pub use mainstay_messaging as messaging;
