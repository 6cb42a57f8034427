//! `commerce demo`: scenarios on a running deployment. Each prints its steps as they happen, and
//! whether what it expected came true. The tests run the same ones.

mod poison;
mod recorded;
mod scans;
mod scenarios;
mod stage;
mod story;

use std::process::ExitCode;

use crate::{
    cli::{DemoArguments, Scenario},
    error::Failure,
};
use scenarios::{
    concurrent_orders, duplicate_event, happy_path, inventory_unavailable, payment_failure,
    saga_timeout,
};
use stage::Stage;

pub(crate) async fn run(arguments: DemoArguments) -> Result<ExitCode, Failure> {
    let mut stage = Stage::open(&arguments.target).await?;
    let storage = arguments.storage;
    match arguments.scenario {
        Scenario::HappyPath => happy_path::run(&mut stage).await?,
        Scenario::PaymentFailure => payment_failure::run(&mut stage).await?,
        Scenario::InventoryUnavailable => inventory_unavailable::run(&mut stage).await?,
        Scenario::DuplicateEvent => duplicate_event::run(&mut stage, storage).await?,
        Scenario::SagaTimeout => saga_timeout::run(&mut stage).await?,
        Scenario::ConcurrentOrders => concurrent_orders::run(&mut stage).await?,
        Scenario::Poison => poison::run(&mut stage, storage).await?,
    }
    Ok(if stage.story.end()? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
