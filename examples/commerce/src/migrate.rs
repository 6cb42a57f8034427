//! `commerce migrate`.

use std::process::ExitCode;

use commerce_chassis::Deployment;

use crate::{cli::MigrateArguments, config, error::Failure, serve};

pub(crate) async fn run(arguments: MigrateArguments) -> Result<ExitCode, Failure> {
    let place = config::place(arguments.storage)?;
    serve::examine(&place, &config::SERVICES).await?;
    serve::create(place.data())?;
    let deployment = Deployment::open(place).await?;
    // Opening a service brings its schema up to date; nothing runs yet.
    drop(serve::open(&deployment, &config::SERVICES).await?);
    Ok(ExitCode::SUCCESS)
}
