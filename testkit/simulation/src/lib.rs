#![doc = include_str!("../README.md")]
#![expect(
    clippy::exhaustive_structs,
    clippy::exhaustive_enums,
    reason = "nobody outside the repository builds on it"
)]

mod campaign;
mod corpus;
mod host;
mod plan;
mod process;
mod report;
mod rng;
mod run;
mod scenario;
mod shop;
mod shrink;
mod sim;
mod world;

pub use campaign::{Tally, campaign};
pub use corpus::corpus;
pub use host::Host;
pub use plan::{Act, CallFault, Fault, Plan, Port, Reach, Topology};
pub use process::{HostConsumer, HostPublisher, Process};
pub use report::Report;
pub use rng::Rng;
pub use run::{Adapters, Settings, planned, run};
pub use scenario::{entry, judge, simulate};
pub use shrink::{Failure, shrink};
pub use sim::Sim;
