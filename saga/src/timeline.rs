//! The timeline of a run, as text and as JSON.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::{
    Attempt,
    journal::{Entry, JournalEntry},
    operator::{RunSummary, Signature},
    state::Reason,
};

/// What happened to a run, in order. `Display` is a table for people, `Serialize` is for programs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct Timeline {
    /// What the run looks like now.
    pub run: RunSummary,
    /// Its journal.
    pub journal: Vec<JournalEntry>,
}

impl Timeline {
    pub(crate) const fn new(run: RunSummary, journal: Vec<JournalEntry>) -> Self {
        Self { run, journal }
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = &self.run;
        let overdue = if run.is_overdue { ", overdue" } else { "" };
        writeln!(
            f,
            "{} v{}  {}  {}{overdue}  run {}  since {}",
            run.saga,
            run.version,
            run.key,
            run.status,
            run.run,
            crate::time::text(run.started_at)
        )?;
        for entry in &self.journal {
            let after = entry.at.duration_since(run.started_at).unwrap_or_default();
            writeln!(f, "{:>12}  {}", seconds(after), Line(&entry.entry))?;
        }
        Ok(())
    }
}

fn seconds(after: Duration) -> String {
    format!("{:.3} s", after.as_secs_f64())
}

/// An entry as people read it.
struct Line<'a>(&'a Entry);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Entry::Started => f.write_str("started"),
            Entry::Sent { step, attempt } => match attempt {
                Attempt::Do(1) => write!(f, "{step} sent"),
                Attempt::Do(attempt) => write!(f, "{step} sent, attempt {attempt}"),
                Attempt::Undo => write!(f, "the undo of {step} sent"),
            },
            Entry::Done { step, result } => write!(f, "{step} done: {}", result.json()),
            Entry::Refused {
                step,
                refusal,
                retry_in,
            } => {
                write!(f, "{step} refused: {}", refusal.json())?;
                match retry_in {
                    Some(micros) => {
                        write!(f, ", again in {}", seconds(Duration::from_micros(*micros)))
                    }
                    None => Ok(()),
                }
            }
            Entry::Undoing { reason } => write!(f, "undoing: {}", Why(reason)),
            Entry::StepUndone { step } => write!(f, "{step} undone"),
            Entry::Overdue { step: Some(step) } => write!(f, "{step} is overdue"),
            Entry::Overdue { step: None } => f.write_str("the saga's deadline has passed"),
            Entry::Broken { why } => write!(f, "broken: {why}"),
            Entry::Mended { by } => write!(f, "mended {}", By(by)),
            Entry::Retried { step, by } => write!(f, "{step} retried {}", By(by)),
            Entry::Skipped { step, by } => write!(f, "{step} skipped {}", By(by)),
            Entry::CancelRequested { by } => write!(f, "cancelled {}", By(by)),
            Entry::Completed => f.write_str("completed"),
            Entry::Undone => f.write_str("undone"),
        }
    }
}

struct Why<'a>(&'a Reason);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reason::Refused { step, .. } => write!(f, "{step} was refused"),
            Reason::TimedOut { step } => write!(f, "{step} did not answer in time"),
            Reason::DeadlineExceeded => f.write_str("the saga's deadline has passed"),
            Reason::Cancelled { by } => write!(f, "cancelled {}", By(by)),
        }
    }
}

struct By<'a>(&'a Signature);

impl fmt::Display for By<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by {}: {}", self.0.operator, self.0.reason)
    }
}
