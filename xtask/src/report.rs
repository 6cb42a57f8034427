//! Runs steps one after the other, to the end, and tells how each went.

use std::time::{Duration, Instant};

use crate::counts::Counts;

/// What the steps of one run are told, and what they tell.
#[derive(Default)]
pub(crate) struct Run {
    /// Whether suites on a server run on every supported version of it.
    pub(crate) matrix: bool,
    pub(crate) counts: Counts,
    /// Which servers the suites had, one line each.
    pub(crate) servers: Vec<String>,
}

/// One step of a command.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// What holds when it succeeds.
    pub(crate) what: &'static str,
    pub(crate) run: fn(&mut Run) -> Result<(), String>,
}

/// How a run went.
pub(crate) struct Report {
    rows: Vec<(&'static str, Duration, Result<(), String>)>,
    run: Run,
}

/// Says what is going to happen, then does all of it: a failed step does not hide the next one's outcome.
pub(crate) fn run(steps: &[&Step], run: Run) -> Report {
    println!("Going to check, one after the other:");
    for step in steps {
        println!("  {:<10} {}", step.name, step.what);
    }
    let mut report = Report {
        rows: Vec::new(),
        run,
    };
    for (number, step) in (1..).zip(steps) {
        println!("\n── step {number}/{}: {}", steps.len(), step.name);
        let started = now();
        let outcome = (step.run)(&mut report.run);
        if let Err(error) = &outcome {
            eprintln!("{}: {error}", step.name);
        }
        report.rows.push((step.name, started.elapsed(), outcome));
    }
    report
}

impl Report {
    /// Whether there were steps, and all of them succeeded.
    pub(crate) fn succeeded(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|(_, _, outcome)| outcome.is_ok())
    }

    /// Table and closing line.
    pub(crate) fn print(&self) {
        println!("\n{:<10} {:>8}  outcome", "step", "seconds");
        for (name, took, outcome) in &self.rows {
            let outcome = match outcome {
                Ok(()) => "ok".to_owned(),
                Err(error) => format!("FAILED: {error}"),
            };
            println!("{name:<10} {:>8.1}  {outcome}", took.as_secs_f64());
        }
        let Run {
            counts, servers, ..
        } = &self.run;
        if counts.ignored > 0 {
            println!("{} tests were ignored.", counts.ignored);
        }
        for server in servers {
            println!("{server}");
        }
        for suite in &counts.left_out {
            println!("Did not run: {suite}");
        }
        println!("\n{} passed, {} failed", counts.passed, counts.failed);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a chore reports how long its steps took"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Step = Step {
        name: "good",
        what: "",
        run: |run| {
            run.counts.passed += 1;
            Ok(())
        },
    };
    const BAD: Step = Step {
        name: "bad",
        what: "",
        run: |_| Err("broken".to_owned()),
    };

    #[test]
    fn one_failed_step_fails_the_run_and_the_others_still_run() {
        let report = run(&[&BAD, &GOOD], Run::default());
        assert!(!report.succeeded());
        assert_eq!(report.run.counts.passed, 1);
        assert!(run(&[&GOOD], Run::default()).succeeded());
    }

    #[test]
    fn a_run_of_nothing_does_not_succeed() {
        assert!(!run(&[], Run::default()).succeeded());
    }
}
