//! The steps of `cargo xtask test`, run one after the other to the end, and their closing table.

use std::{
    io::{BufRead, BufReader},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use crate::features;

type Step = (&'static str, fn(&mut Counts) -> Result<(), String>);

const STEPS: &[Step] = &[
    ("fmt", |_| cargo(&["fmt", "--all", "--check"])),
    ("features", |_| features::each_alone()),
    ("clippy", |_| {
        cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ])
    }),
    ("test", tests),
    ("doc", |_| documentation()),
];

/// Tests that passed and failed, as the test runners counted them.
#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
}

/// Runs all steps, or the one named.
pub(crate) fn run(only: Option<&str>) -> ExitCode {
    let chosen: Vec<&Step> = STEPS
        .iter()
        .filter(|(name, _)| only.is_none_or(|only| only == *name))
        .collect();
    if chosen.is_empty() {
        eprintln!(
            "there is no step {:?}; see `cargo xtask help`",
            only.unwrap_or_default()
        );
        return ExitCode::FAILURE;
    }
    let mut counts = Counts::default();
    let mut rows: Vec<(&str, Duration, Result<(), String>)> = Vec::new();
    for (number, (name, step)) in (1..).zip(&chosen) {
        println!("\n── step {number}/{}: {name}", chosen.len());
        let started = now();
        let outcome = step(&mut counts);
        if let Err(error) = &outcome {
            eprintln!("{name}: {error}");
        }
        rows.push((name, started.elapsed(), outcome));
    }
    println!("\n{:<10} {:>8}  outcome", "step", "seconds");
    for (name, took, outcome) in &rows {
        let outcome = outcome
            .as_ref()
            .map_or_else(|e| format!("FAILED: {e}"), |()| "ok".to_owned());
        println!("{name:<10} {:>8.1}  {outcome}", took.as_secs_f64());
    }
    println!("Suites on PostgreSQL, Redis and Kafka: none exist yet, none ran.");
    println!("\n{} passed, {} failed", counts.passed, counts.failed);
    if rows.iter().all(|(_, _, outcome)| outcome.is_ok()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a chore reports how long its steps took"
)]
fn now() -> Instant {
    Instant::now()
}

/// Tests and doctests of every member; the counts are read from the runners' closing lines.
fn tests(counts: &mut Counts) -> Result<(), String> {
    counted(
        counts,
        &["test", "--workspace", "--all-features", "--no-fail-fast"],
    )
}

fn counted(counts: &mut Counts, args: &[&str]) -> Result<(), String> {
    let mut child = Command::new(env!("CARGO"))
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cargo does not start: {e}"))?;
    let stdout = child.stdout.take().ok_or("no output to read")?;
    let before = counts.passed;
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(|e| format!("reading the tests' output: {e}"))?;
        if let Some((passed, failed)) = closing_line(&line) {
            counts.passed += passed;
            counts.failed += failed;
        }
        println!("{line}");
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    if !status.success() {
        return Err(format!("cargo {} failed", args.join(" ")));
    }
    if counts.passed == before {
        return Err("no test ran".to_owned());
    }
    Ok(())
}

/// `test result: ok. 7 passed; 0 failed; …` → (7, 0).
fn closing_line(line: &str) -> Option<(u64, u64)> {
    let (_, counts) = line
        .trim()
        .strip_prefix("test result: ")?
        .split_once(". ")?;
    let mut numbers = counts
        .split("; ")
        .map(|part| part.split(' ').next()?.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn documentation() -> Result<(), String> {
    let status = Command::new(env!("CARGO"))
        .args(["doc", "--workspace", "--all-features", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .status();
    check("cargo doc", status)
}

/// Runs cargo with its output visible.
pub(crate) fn cargo(args: &[&str]) -> Result<(), String> {
    check(
        &format!("cargo {}", args.join(" ")),
        Command::new(env!("CARGO")).args(args).status(),
    )
}

fn check(what: &str, status: std::io::Result<std::process::ExitStatus>) -> Result<(), String> {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{what}` ended with {status}")),
        Err(error) => Err(format!("`{what}` does not start: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::closing_line;

    #[test]
    fn counts_are_read_from_closing_lines_only() {
        let line = "test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!(closing_line(line), Some((7, 2)));
        assert_eq!(closing_line("running 3 tests"), None);
    }
}
