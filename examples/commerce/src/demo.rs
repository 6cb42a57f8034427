//! `commerce demo`: scenarios on a running deployment. Each prints its steps, and what it expected.

mod poison;
mod scans;
mod story;

use std::process::ExitCode;

use crate::{
    cli::{DemoArguments, Scenario},
    error::Failure,
};

pub(crate) async fn run(arguments: DemoArguments) -> Result<ExitCode, Failure> {
    let kept = match arguments.scenario {
        Scenario::Poison => poison::run(arguments).await?,
    };
    Ok(if kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
