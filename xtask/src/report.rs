//! Runs steps one after the other, to the end, and reports how each went.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    ops::AddAssign,
    time::{Duration, Instant},
};

/// One step of a command.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// What holds when it succeeds.
    pub(crate) what: &'static str,
    pub(crate) run: fn(&mut Run) -> Result<(), String>,
}

/// What the steps of one run are told, and what they have to tell.
#[derive(Default)]
pub(crate) struct Run {
    /// The only mutant to hunt for.
    pub(crate) mutant: Option<String>,
    pub(crate) counts: Counts,
    /// How long each suite took, and what it counted.
    pub(crate) suites: Vec<(String, Duration, Counts)>,
    /// Which servers the suites had, one line each.
    pub(crate) servers: Vec<String>,
    /// Sections of the written report.
    pub(crate) sections: Vec<String>,
}

/// Tests and doctests by outcome.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    /// Suites that did not run because their server is missing, each with the reason.
    pub(crate) skipped: BTreeSet<String>,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.skipped.extend(other.skipped);
    }
}

/// `None` = nobody asked for the step.
type Outcome = Option<Result<(), String>>;

/// How a run went.
pub(crate) struct Report {
    rows: Vec<(&'static Step, Duration, Outcome)>,
    pub(crate) run: Run,
}

/// Runs the steps named, or all: a failed step does not hide the next one's outcome.
pub(crate) fn run(steps: &'static [Step], only: &[String], run: Run) -> Report {
    let chosen = |step: &Step| only.is_empty() || only.iter().any(|name| name == step.name);
    println!("Going to check, one after the other:");
    for step in steps.iter().filter(|step| chosen(step)) {
        println!("  {:<10} {}", step.name, step.what);
    }
    let mut report = Report {
        rows: Vec::new(),
        run,
    };
    for step in steps {
        if !chosen(step) {
            report.rows.push((step, Duration::ZERO, None));
            continue;
        }
        println!("\n── {}", step.name);
        let started = now();
        let outcome = (step.run)(&mut report.run);
        if let Err(error) = &outcome {
            eprintln!("{}: {error}", step.name);
        }
        report.rows.push((step, started.elapsed(), Some(outcome)));
    }
    report
}

impl Report {
    /// Prints the tables and the closing line; fails if a step failed, or none ran.
    pub(crate) fn end(&self) -> Result<(), String> {
        println!("\n{}", self.table());
        let Run { counts, .. } = &self.run;
        println!("{} passed, {} failed", counts.passed, counts.failed);
        let outcomes = || {
            self.rows
                .iter()
                .filter_map(|(_, _, outcome)| outcome.as_ref())
        };
        if outcomes().next().is_some() && outcomes().all(Result::is_ok) {
            Ok(())
        } else {
            Err("not every step succeeded".to_owned())
        }
    }

    /// Steps, suites, and what did not run; Markdown that can be read as it is.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from("| step       | seconds | outcome |\n|---|---|---|\n");
        let mut line = |line: String| {
            // Writing to text does not fail.
            let _: Result<(), _> = writeln!(text, "{line}");
        };
        for (step, took, outcome) in &self.rows {
            let outcome = match outcome {
                Some(Ok(())) => "ok".to_owned(),
                Some(Err(error)) => format!("FAILED: {}", error.replace('\n', "; ")),
                None => "not run".to_owned(),
            };
            line(format!(
                "| {:<10} | {:>7.1} | {outcome} |",
                step.name,
                took.as_secs_f64()
            ));
        }
        let Run {
            counts,
            suites,
            servers,
            ..
        } = &self.run;
        if !suites.is_empty() {
            line("\n| seconds | suite | passed | failed |\n|---|---|---|---|".to_owned());
        }
        let mut suites: Vec<_> = suites.iter().collect();
        suites.sort_by_key(|(_, took, _)| std::cmp::Reverse(*took));
        for (name, took, counts) in suites {
            let Counts { passed, failed, .. } = counts;
            line(format!(
                "| {:>7.1} | {name} | {passed} | {failed} |",
                took.as_secs_f64()
            ));
        }
        line(String::new());
        if counts.ignored > 0 {
            line(format!("{} tests were ignored.", counts.ignored));
        }
        for server in servers {
            line(server.clone());
        }
        for suite in &counts.skipped {
            line(format!("Did not run: {suite}"));
        }
        text
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a chore reports how long its steps took"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[Step] = &[
        Step {
            name: "bad",
            what: "",
            run: |_| Err("broken".to_owned()),
        },
        Step {
            name: "good",
            what: "",
            run: |run| {
                run.counts.passed += 1;
                Ok(())
            },
        },
    ];

    #[test]
    fn one_failed_step_fails_the_run_and_the_others_still_run() {
        let report = run(STEPS, &[], Run::default());
        assert!(report.end().is_err());
        assert_eq!(report.run.counts.passed, 1);
    }

    #[test]
    fn a_step_that_was_not_asked_for_is_listed_as_such() {
        let report = run(STEPS, &["good".to_owned()], Run::default());
        assert!(report.end().is_ok());
        let table = report.table();
        assert!(
            table.contains("| bad        |     0.0 | not run |"),
            "{table}"
        );
    }

    #[test]
    fn a_run_of_nothing_does_not_succeed() {
        assert!(run(&[], &[], Run::default()).end().is_err());
    }
}
