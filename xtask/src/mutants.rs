//! The simulation against bugs planted on purpose.

use std::process::Command;

use cargo_metadata::MetadataCommand;

use crate::proof;

/// Builds the simulation with all planted bugs, into a folder of its own, and lets it hunt for each of them.
pub(crate) fn run(options: &[&str]) -> Result<(), String> {
    let failed = "a planted bug survived, or a seed failed without one";
    proof::passes(command(options)?, failed)
}

/// What does that.
pub(crate) fn command(options: &[&str]) -> Result<Command, String> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default() + " --cfg mainstay_planted";
    let mut command = proof::simulation(&[&["mutants"], options].concat());
    command
        .env(
            "CARGO_TARGET_DIR",
            metadata.target_directory.join("mutants"),
        )
        .env("RUSTFLAGS", flags.trim())
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    Ok(command)
}
