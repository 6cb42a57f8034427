//! `commerce demo`: scenarios on a running deployment. Each tells its steps as they happen, and
//! whether what it expected came true. The tests and the operators' page play the same ones.

mod poison;
mod recorded;
mod scans;
mod scenarios;
mod stage;
mod story;

use std::process::ExitCode;

use crate::{
    cli::{DemoArguments, Scenario},
    client::Client,
    error::Failure,
    output,
};
use scenarios::{
    concurrent_orders, duplicate_event, happy_path, inventory_unavailable, payment_failure,
    saga_timeout,
};
pub(crate) use stage::{Beside, Stage};
pub(crate) use story::Story;

pub(crate) async fn run(arguments: DemoArguments) -> Result<ExitCode, Failure> {
    let client = Client::new(&arguments.target)?;
    let story = Story::told_to(Box::new(output::print));
    let beside = Beside::Named(arguments.storage);
    let stage = Stage::open(client, beside, story).await?;
    Ok(if play(stage, arguments.scenario).await? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Plays a scenario; whether every expectation held.
pub(crate) async fn play(mut stage: Stage, scenario: Scenario) -> Result<bool, Failure> {
    let stage = &mut stage;
    match scenario {
        Scenario::HappyPath => happy_path::run(stage).await?,
        Scenario::PaymentFailure => payment_failure::run(stage).await?,
        Scenario::InventoryUnavailable => inventory_unavailable::run(stage).await?,
        Scenario::DuplicateEvent => duplicate_event::run(stage).await?,
        Scenario::SagaTimeout => saga_timeout::run(stage).await?,
        Scenario::ConcurrentOrders => concurrent_orders::run(stage).await?,
        Scenario::Poison => poison::run(stage).await?,
        Scenario::PoisonAlarm => poison::run_up_to_the_alarm(stage).await?,
    }
    stage.story.end()
}
