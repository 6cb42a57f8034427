#![doc = include_str!("../README.md")]
#![expect(
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "nobody outside the repository builds on it"
)]

mod campaign;
mod host;
mod plan;
mod process;
mod rng;
mod run;
mod scenario;
mod shop;
mod shrink;
mod sim;
mod world;

pub use campaign::{Tally, campaign, corpus};
pub use host::Host;
pub use plan::{Act, CallFault, Fault, Plan, Port, Reach, Topology};
pub use process::{HostConsumer, HostPublisher, Process};
pub use rng::Rng;
pub use run::{Adapters, Report, Settings, planned, run};
pub use scenario::{entry, judge, simulate};
pub use shrink::shrink;
pub use sim::Sim;
