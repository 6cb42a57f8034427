//! Services on mainstay, simulated.

mod campaign;
mod core;
mod corpus;
mod dice;
mod host;
#[cfg(mainstay_planted)]
pub mod mutants;
mod plan;
mod process;
mod report;
mod run;
mod shop;
mod shrink;
mod sim;

pub use campaign::{Campaign, Tally, campaign};
pub use corpus::corpus;
pub use dice::Dice;
pub use host::Host;
pub use plan::{Act, Crew, Fault, Plan, Port, Reach, Strike};
pub use process::{HostConsumer, HostPublisher, Process};
pub use report::Report;
pub use run::{Settings, run};
pub use shrink::{Failure, shrink};
pub use sim::Sim;
