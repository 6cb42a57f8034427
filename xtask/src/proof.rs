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

/// With what a program ends that has found something.
const FAILED: i32 = 1;

/// The simulation.
pub(crate) fn simulation(arguments: &[&str]) -> Command {
    program("mainstay-simulation", "simulation", arguments)
}

/// Runs it with its output visible; `failed` is what its failure means.
pub(crate) fn passes(mut command: Command, failed: &str) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(FAILED) => Err(failed.to_owned()),
        // It was not built, was asked for something it does not know, or was ended: nothing was tried.
        _ => Err(format!("it ended with {status}: nothing is known")),
    }
}
