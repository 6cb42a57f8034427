//! The simulation against mutants: patches of `testkit/simulation/mutants`.

use std::process::Command;

use crate::proof;

/// Hunts for each of them.
pub(crate) fn run(options: &[&str]) -> Result<(), String> {
    let failed = "a mutant survived, or a seed failed without one";
    proof::passes(command(options)?, failed)
}

/// What does that.
#[expect(clippy::unnecessary_wraps, reason = "as its callers want it")]
pub(crate) fn command(options: &[&str]) -> Result<Command, String> {
    Ok(proof::simulation(&[&["mutants"], options].concat()))
}
