//! Runs the program `simulation`, as a developer does.

use std::process::{Command, Output};

#[expect(clippy::unwrap_used, reason = "a test")]
fn simulation(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simulation"));
    command.args(arguments).output().unwrap()
}

#[test]
fn a_seed_passes_and_prints_the_same_each_time() {
    let first = simulation(&["seed", "7"]);
    assert!(first.status.success(), "{first:?}");
    assert_eq!(first.stdout, simulation(&["seed", "7"]).stdout);
}

#[test]
fn a_fault_that_the_plan_does_not_have_is_refused() {
    let refused = simulation(&["seed", "7", "--plan", "10000"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("the plan of seed 7 has"), "{said}");
}
