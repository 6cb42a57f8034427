//! The verdict, as a table or as JSON.

use std::{fmt::Write as _, io::Write as _};

use serde::Serialize;

use super::{Finding, Verdict, Waiting};
use crate::error::Failure;

/// Offenders of each invariant in the table; JSON lists all.
const SHOWN: usize = 10;

#[derive(Serialize)]
struct Json<'a> {
    holds: bool,
    running: bool,
    orders_in_flight: usize,
    dead_letters: Waiting,
    never_started: &'a [&'static str],
    invariants: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    name: &'a str,
    checked: usize,
    unit: &'a str,
    holds: bool,
    offenders: Vec<&'a str>,
}

/// Reports a wait on stderr.
pub(crate) fn progress(line: &str) {
    // These lines are optional: stderr may be closed.
    drop(writeln!(std::io::stderr(), "{line}"));
}

pub(crate) fn print(verdict: &Verdict, json: bool) -> Result<(), Failure> {
    let wrong =
        |error: &dyn std::error::Error| Failure::new("the verdict cannot be written", error);
    let text = if json {
        let text = serde_json::to_string_pretty(&verdict.told()).map_err(|error| wrong(&error))?;
        text + "\n"
    } else {
        table(verdict)
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| wrong(&error))
}

impl Verdict {
    /// The verdict as programs read it.
    pub(crate) fn told(&self) -> impl Serialize {
        Json {
            holds: self.findings.iter().all(Finding::holds),
            running: self.running,
            orders_in_flight: self.in_flight,
            dead_letters: self.dead_letters,
            never_started: &self.absent,
            invariants: self.findings.iter().map(row).collect(),
        }
    }
}

fn row(finding: &Finding) -> Row<'_> {
    Row {
        id: finding.id,
        name: finding.name,
        checked: finding.checked,
        unit: finding.unit,
        holds: finding.holds(),
        offenders: finding.offenders.iter().map(String::as_str).collect(),
    }
}

fn table(verdict: &Verdict) -> String {
    let mut text = String::new();
    for finding in &verdict.findings {
        let answer = match (finding.holds(), finding.checked) {
            (false, _) => "BROKEN",
            (true, 0) => "nothing to check",
            (true, _) => "holds",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<4} {:<58} {:>9} {:<15} {answer}",
            finding.id, finding.name, finding.checked, finding.unit
        );
        for offender in finding.offenders.iter().take(SHOWN) {
            let _ = writeln!(text, "       {offender}");
        }
        if finding.offenders.len() > SHOWN {
            let _ = writeln!(text, "       and {} more", finding.offenders.len() - SHOWN);
        }
    }
    let state = if verdict.running {
        "running"
    } else {
        "stopped"
    };
    let _ = writeln!(
        text,
        "the deployment is {state}, {} orders in flight",
        verdict.in_flight
    );
    if !verdict.absent.is_empty() {
        let _ = writeln!(
            text,
            "never started, and not checked: {}",
            verdict.absent.join(", ")
        );
    }
    let Waiting { dead, held } = verdict.dead_letters;
    if dead + held > 0 {
        let _ = writeln!(
            text,
            "an operator is needed: dead letters: {dead}, messages held behind them: {held}; `commerce dlq groups` says why"
        );
    }
    text
}
