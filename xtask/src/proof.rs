//! Programs of the workspace in the profile `proof`: optimised, with debug assertions.

use std::process::Command;

/// Builds and runs a program.
pub(crate) fn program(package: &str, binary: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["run", "--quiet", "--profile", "proof"])
        .args(["--package", package, "--bin", binary, "--"])
        .args(arguments);
    command
}

/// The simulation.
pub(crate) fn simulation(arguments: &[&str]) -> Command {
    program("mainstay-simulation", "simulation", arguments)
}

/// Runs it with its output visible; `failed` is what its failure means.
pub(crate) fn passes(mut command: Command, failed: &str) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(failed.to_owned())
}
