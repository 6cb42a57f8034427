//! Tests that ran, as the test runners counted them.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    ops::AddAssign,
    process::{Command, Stdio},
};

use mainstay_testkit::LEFT_OUT;

/// Tests and doctests by outcome.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    /// Suites that did not run because their server is missing, each with the reason.
    pub(crate) left_out: BTreeSet<String>,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.left_out.extend(other.left_out);
    }
}

/// Runs tests with their output visible and adds up what they report; `strict` takes ignored tests for failures.
pub(crate) fn counted(
    total: &mut Counts,
    mut command: Command,
    strict: bool,
) -> Result<(), String> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{command:?} does not start: {error}"))?;
    let stdout = child.stdout.take().ok_or("no output to read")?;
    let mut counts = Counts::default();
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(|error| format!("reading the tests' output: {error}"))?;
        if let Some(closing) = closing_line(&line) {
            counts += closing;
        }
        // The harness may have begun a line of its own.
        if let Some((_, suite)) = line.split_once(LEFT_OUT) {
            counts.left_out.insert(suite.trim_end().to_owned());
        }
        println!("{line}");
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    *total += counts.clone();
    if !status.success() {
        return Err(format!("the tests ended with {status}"));
    }
    if counts.failed > 0 {
        return Err(format!("{} tests failed", counts.failed));
    }
    if counts.passed == 0 {
        return Err("no test ran".to_owned());
    }
    if strict && counts.ignored > 0 {
        return Err(format!("{} tests did not run (ignored)", counts.ignored));
    }
    Ok(())
}

/// `test result: ok. 7 passed; 0 failed; 1 ignored; …`
fn closing_line(line: &str) -> Option<Counts> {
    let (_, counts) = line
        .trim()
        .strip_prefix("test result: ")?
        .split_once(". ")?;
    let mut numbers = counts
        .split("; ")
        .map(|part| part.split(' ').next()?.parse().ok());
    Some(Counts {
        passed: numbers.next()??,
        failed: numbers.next()??,
        ignored: numbers.next()??,
        left_out: BTreeSet::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
    const IGNORED: &str =
        "test result: ok. 7 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out";
    const FAILED: &str =
        "test result: FAILED. 7 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out";

    /// Stands in for `cargo test`: prints `line`, ends with `code`.
    fn runner(line: &str, code: u8) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("echo '{line}'; exit {code}")]);
        command
    }

    #[test]
    fn counts_are_read_from_closing_lines_only() {
        let expected = Counts {
            passed: 7,
            failed: 2,
            ignored: 1,
            ..Counts::default()
        };
        assert_eq!(closing_line(FAILED), Some(expected));
        assert_eq!(closing_line("running 3 tests"), None);
    }

    #[test]
    fn failed_tests_fail_the_step_whatever_the_exit_code() {
        let mut total = Counts::default();
        assert!(counted(&mut total, runner(FAILED, 0), false).is_err());
        assert!(counted(&mut total, runner(OK, 101), false).is_err());
        assert_eq!((total.passed, total.failed), (14, 2));
    }

    #[test]
    fn suites_that_were_left_out_are_gathered_once_each() {
        let mut total = Counts::default();
        let line = format!(
            "test a ... {LEFT_OUT}outbox on postgres: no server\n{LEFT_OUT}outbox on postgres: no server\n{OK}"
        );
        assert_eq!(counted(&mut total, runner(&line, 0), true), Ok(()));
        assert_eq!(
            Vec::from_iter(total.left_out),
            ["outbox on postgres: no server"]
        );
    }

    #[test]
    fn a_run_without_a_test_fails() {
        assert!(counted(&mut Counts::default(), runner("", 0), false).is_err());
    }

    #[test]
    fn ignored_tests_fail_only_where_everything_must_run() {
        let mut total = Counts::default();
        assert_eq!(counted(&mut total, runner(IGNORED, 0), false), Ok(()));
        assert!(counted(&mut total, runner(IGNORED, 0), true).is_err());
    }
}
