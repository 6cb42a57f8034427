//! The simulation against bugs planted on purpose.

use std::process::Command;

use cargo_metadata::MetadataCommand;

/// Builds the simulation with all planted bugs, into a folder of its own, and lets it hunt for each of them.
pub(crate) fn run(options: &[&str]) -> Result<(), String> {
    let status = command(options)?
        .status()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err("a planted bug survived, or a seed failed without one".to_owned())
}

/// What does that.
pub(crate) fn command(options: &[&str]) -> Result<Command, String> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default() + " --cfg mainstay_planted";
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["run", "--quiet", "--profile", "proof"])
        .args(["--package", "mainstay-simulation", "--bin", "simulation"])
        .arg("--target-dir")
        .arg(metadata.target_directory.join("mutants"))
        .args(["--", "mutants"])
        .args(options)
        .env("RUSTFLAGS", flags.trim())
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    Ok(command)
}
