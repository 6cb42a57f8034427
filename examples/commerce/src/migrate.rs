//! `commerce migrate`.

use std::process::ExitCode;

use crate::{cli::MigrateArguments, config, error::Failure, serve};

pub(crate) async fn run(arguments: MigrateArguments) -> Result<ExitCode, Failure> {
    let storage = config::storage(arguments.storage)?;
    serve::check_log(&storage, &config::SERVICES).await?;
    serve::create(storage.data())?;
    let deployment = serve::open_log(storage).await?;
    // Opening a service migrates its schema; no task runs yet.
    drop(serve::open(&deployment, &config::SERVICES, &serve::Settings::default()).await?);
    Ok(ExitCode::SUCCESS)
}
