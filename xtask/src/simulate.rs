//! The simulation: `cargo xtask simulate` and `cargo xtask soak`.

use crate::proof;

/// Seeds of `simulate` that names none.
const SEEDS: &str = "20000";

/// Runs many seeds, or one.
pub(crate) fn simulate(options: &[&str]) -> Result<(), String> {
    let value = |name: &str| {
        let at = options.iter().position(|option| *option == name)?;
        options.get(at + 1).copied()
    };
    let known = ["--seeds", "--from", "--seed", "--plan"];
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        if known.contains(option) {
            rest.next().ok_or(format!("{option} needs a value"))?;
        } else if !["--json", "--trace"].contains(option) {
            return Err(format!("`simulate` does not know {option:?}"));
        }
    }
    let given = |name: &&&str| options.contains(*name);
    // What would be left out silently would be taken for tried.
    let (one, many) = (["--plan", "--trace"], ["--seeds", "--from", "--json"]);
    if options.contains(&"--seed") {
        if let Some(option) = many.iter().find(given) {
            return Err(format!("{option} is for many seeds, --seed for one"));
        }
    } else if let Some(option) = one.iter().find(given) {
        return Err(format!("{option} needs a --seed"));
    }
    let flag = |name: &'static str| options.contains(&name).then_some(name);
    if let Some(seed) = value("--seed") {
        let mut arguments = vec!["seed", seed];
        if let Some(plan) = value("--plan") {
            arguments.extend(["--plan", plan]);
        }
        arguments.extend(flag("--trace"));
        return run(&arguments);
    }
    let mut arguments = vec!["seeds", "--count", value("--seeds").unwrap_or(SEEDS)];
    if let Some(from) = value("--from") {
        arguments.extend(["--from", from]);
    }
    arguments.extend(flag("--json"));
    run(&arguments)
}

/// Runs new seeds for a while.
pub(crate) fn soak(options: &[&str]) -> Result<(), String> {
    run(&[&["soak"], options].concat())
}

fn run(arguments: &[&str]) -> Result<(), String> {
    proof::passes(proof::simulation(arguments), "a seed failed")
}
