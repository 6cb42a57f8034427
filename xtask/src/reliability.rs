//! `docs/reliability.md`, written from the runs that it tells of.

mod crashes;
mod found;
mod models;
mod seeds;

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use cargo_metadata::MetadataCommand;
use serde::de::DeserializeOwned;

const HEAD: &str = "\
<!-- Written by `cargo xtask reliability`: do not edit it, run it again. -->

# What was tried, how often, and what it found

A claim of reliability is worth what could have refuted it. This page is written by the machine that tried: each section names
the command that repeats its part, and `cargo xtask reliability` repeats all of them and writes the page anew. A figure of it is
what one run on one machine came to; what must hold in every run is asserted by `cargo xtask test`, but for the mutants, which
`cargo xtask prove mutants` hunts.
";

/// Runs everything, one after the other, and writes the page.
pub(crate) fn run(options: &[&str]) -> Result<(), String> {
    let minutes = match options {
        [] => "10",
        ["--minutes", minutes] => minutes,
        other => return Err(format!("`reliability` does not know {:?}", other.join(" "))),
    };
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let root = metadata.workspace_root;
    let sections = [
        seeds::section(minutes)?,
        models::section()?,
        crashes::section()?,
        found::section(root.join("testkit/found.toml").as_std_path())?,
    ];
    let page = format!("{HEAD}\n{}", sections.join("\n"));
    let path = root.join("docs/reliability.md");
    fs::write(&path, page).map_err(|error| format!("{path}: {error}"))?;
    println!("docs/reliability.md is written");
    Ok(())
}

/// What a command prints; its progress stays visible.
fn said(mut command: Command) -> Result<String, String> {
    let output = output(&mut command)?;
    if !output.status.success() {
        return Err(format!(
            "{command:?} ended with {}: nothing is written of a run that failed",
            output.status
        ));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

fn output(command: &mut Command) -> Result<Output, String> {
    println!("running {command:?}");
    command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{command:?} does not start: {error}"))
}

/// The JSON objects that it prints, one a line.
fn objects<T: DeserializeOwned>(command: Command) -> Result<Vec<T>, String> {
    let text = said(command)?;
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).map_err(|error| format!("{error} in {line}")))
        .collect()
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_stand_in_groups_of_three() {
        let numbers = [0, 999, 1_000, 1_234_567];
        assert_eq!(
            numbers.map(grouped),
            ["0", "999", "1,000", "1,234,567"].map(str::to_owned)
        );
    }
}
