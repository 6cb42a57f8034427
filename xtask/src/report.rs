//! Runs steps to the end, and reports how each went.

use std::{
    collections::BTreeSet,
    ops::AddAssign,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

/// One step of a command.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// What holds when it succeeds.
    pub(crate) what: &'static str,
    pub(crate) run: fn(&mut Run) -> Result<()>,
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
    /// Held while the second group of steps waits.
    pub(crate) waits: Option<mpsc::Sender<()>>,
}

impl Run {
    /// What is left for this step to do need not have cargo for itself: the second group begins.
    pub(crate) fn begin_second(&mut self) {
        self.waits = None;
    }
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

/// How a run went.
pub(crate) struct Report {
    rows: Vec<Row>,
    pub(crate) run: Run,
}

/// A step, how long it took, and how it ended; `None` = it was not asked for.
type Row = (&'static Step, Duration, Option<Result<()>>);

/// Runs the steps named, or all: a failed step does not hide the next one's outcome. The steps of a
/// group run one after the other. Those of the `second` begin when those of the first have built.
pub(crate) fn run(
    first: &'static [Step],
    second: &'static [Step],
    only: &[String],
    mut run: Run,
) -> Report {
    let chosen = |step: &&Step| only.is_empty() || only.iter().any(|name| name == step.name);
    println!("Going to check:");
    for step in first.iter().chain(second).filter(chosen) {
        println!("  {:<10} {}", step.name, step.what);
    }
    let group = |steps: &'static [Step], run: &mut Run| -> Vec<Row> {
        let row = |step| {
            if !chosen(&step) {
                return (step, Duration::ZERO, None);
            }
            println!("\n── {}", step.name);
            let started = now();
            let outcome = (step.run)(run);
            if let Err(error) = &outcome {
                eprintln!("{}: {error:#}", step.name);
            }
            (step, started.elapsed(), Some(outcome))
        };
        steps.iter().map(row).collect()
    };
    let (waits, begin) = mpsc::channel();
    run.waits = Some(waits);
    // A step that panics ends the wait, too: the run is dropped with the closure.
    let (rows, run) = thread::scope(move |scope| {
        let beside = scope.spawn(move || {
            // Nothing is sent.
            let _ = begin.recv();
            group(second, &mut Run::default())
        });
        let mut rows = group(first, &mut run);
        run.begin_second();
        let beside = beside.join();
        rows.extend(beside.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        (rows, run)
    });
    Report { rows, run }
}

impl Report {
    /// Prints the tables and the closing line; fails if a step failed, or none ran.
    pub(crate) fn end(&self) -> Result<()> {
        println!("\n{}", self.table());
        let Run { counts, .. } = &self.run;
        println!("{} passed, {} failed", counts.passed, counts.failed);
        let outcomes: Vec<_> = (self.rows.iter())
            .filter_map(|(_, _, outcome)| outcome.as_ref())
            .collect();
        let succeeded = !outcomes.is_empty() && outcomes.iter().all(|outcome| outcome.is_ok());
        ensure!(succeeded, "not every step succeeded");
        Ok(())
    }

    /// Steps, suites, and what did not run; Markdown that can be read as it is.
    pub(crate) fn table(&self) -> String {
        let seconds = |took: &Duration| format!("{:>7.1}", took.as_secs_f64());
        let steps = self.rows.iter().map(|(step, took, outcome)| {
            let outcome = match outcome {
                Some(Ok(())) => "ok".to_owned(),
                Some(Err(error)) => format!("FAILED: {error:#}").replace('\n', "; "),
                None => "not run".to_owned(),
            };
            vec![format!("{:<10}", step.name), seconds(took), outcome]
        });
        let mut parts = vec![table(&["step      ", "seconds", "outcome"], steps)];
        let Run { counts, .. } = &self.run;
        let mut suites: Vec<_> = self.run.suites.iter().collect();
        suites.sort_by_key(|(_, took, _)| std::cmp::Reverse(*took));
        if !suites.is_empty() {
            let rows = suites.into_iter().map(|(name, took, counts)| {
                let [passed, failed] = [counts.passed, counts.failed].map(|n| n.to_string());
                vec![seconds(took), name.clone(), passed, failed]
            });
            parts.push(table(&["seconds", "suite", "passed", "failed"], rows));
        }
        let mut notes = self.run.servers.clone();
        if counts.ignored > 0 {
            notes.push(format!("{} tests were ignored.", counts.ignored));
        }
        let skipped = counts.skipped.iter();
        notes.extend(skipped.map(|suite| format!("Did not run: {suite}")));
        parts.push(notes.join("\n"));
        parts.join("\n\n")
    }
}

/// A table of Markdown.
pub(crate) fn table(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head = format!(
        "| {} |\n|{}",
        columns.join(" | "),
        "---|".repeat(columns.len())
    );
    let rows = rows.map(|cells| format!("| {} |", cells.join(" | ")));
    [head]
        .into_iter()
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n")
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
    use parking_lot::{Condvar, Mutex};

    use super::*;

    const STEPS: &[Step] = &[
        Step {
            name: "bad",
            what: "",
            run: |_| anyhow::bail!("broken"),
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
        let report = run(STEPS, &[], &[], Run::default());
        assert!(report.end().is_err());
        assert_eq!(report.run.counts.passed, 1);
        assert!(
            run(&STEPS[1..], &STEPS[..1], &[], Run::default())
                .end()
                .is_err()
        );
    }

    #[test]
    fn the_second_group_begins_when_the_first_has_built() {
        static BEGUN: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
        const BUILDS: &[Step] = &[Step {
            name: "builds",
            what: "",
            run: |run| {
                assert!(!*BEGUN.0.lock());
                run.begin_second();
                BEGUN.1.wait_while(&mut BEGUN.0.lock(), |begun| !*begun);
                Ok(())
            },
        }];
        const BESIDE: &[Step] = &[Step {
            name: "beside",
            what: "",
            run: |_| {
                *BEGUN.0.lock() = true;
                BEGUN.1.notify_all();
                Ok(())
            },
        }];
        assert!(run(BUILDS, BESIDE, &[], Run::default()).end().is_ok());
    }

    #[test]
    #[should_panic(expected = "a fault of the step")]
    fn a_step_that_panics_ends_the_run() {
        const PANICS: &[Step] = &[Step {
            name: "panics",
            what: "",
            run: |_| panic!("a fault of the step"),
        }];
        run(PANICS, STEPS, &[], Run::default());
    }

    #[test]
    fn a_step_that_was_not_asked_for_is_listed_as_such() {
        let report = run(STEPS, &[], &["good".to_owned()], Run::default());
        assert!(report.end().is_ok());
        let table = report.table();
        assert!(
            table.contains("| bad        |     0.0 | not run |"),
            "{table}"
        );
    }

    #[test]
    fn a_run_of_nothing_does_not_succeed() {
        assert!(run(&[], &[], &[], Run::default()).end().is_err());
    }
}
