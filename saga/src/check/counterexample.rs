//! A violation, and the shortest way to it.

use std::fmt;

use super::world::{Event, Says};
use crate::{
    Attempt,
    definition::Shape,
    engine::Send,
    state::{Phase, Progress, State},
};

/// A violation, and the shortest way to it. `Display` is a numbered list.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Counterexample {
    /// What must not be.
    pub violation: String,
    /// What happened, in order.
    pub history: Vec<String>,
    /// How far each step is for the saga, in the end.
    pub steps: Vec<String>,
}

impl Counterexample {
    pub(super) fn new(
        shape: &Shape,
        violation: String,
        history: &[(Event, Phase)],
        state: &State,
    ) -> Self {
        let mut lines = Vec::new();
        let mut before = Phase::Running;
        for (event, after) in history {
            let mut line = sentence(shape, *event);
            if *after != before {
                line += match after {
                    Phase::Running => "",
                    Phase::Undoing => "; the saga goes back",
                    Phase::Completed => "; the run is completed",
                    Phase::Undone => "; the run is undone",
                };
                before = *after;
            }
            lines.push(line);
        }
        let steps = state.steps.iter();
        let steps = steps.map(|step| format!("{}: {}", step.name, progress(step.progress)));
        Self {
            violation,
            history: lines,
            steps: steps.collect(),
        }
    }
}

fn progress(progress: Progress) -> &'static str {
    match progress {
        Progress::Pending => "not begun",
        Progress::Sent => "sent",
        Progress::Waiting => "waits for its next attempt",
        Progress::Done => "done",
        Progress::Refused => "refused",
        Progress::Undoing => "undo sent",
        Progress::Undone => "undone",
    }
}

fn sentence(shape: &Shape, event: Event) -> String {
    let name = |step: usize| &*shape.steps[step].name;
    let command = |send: Send| match send.attempt {
        Attempt::Do(1) => name(send.step).to_owned(),
        Attempt::Do(attempt) => format!("{} (attempt {attempt})", name(send.step)),
        Attempt::Undo => format!("the undo of {}", name(send.step)),
    };
    let says = |says: Says| match says {
        Says::Done => "done",
        Says::Refused => "refused",
        Says::RefusedForNow => "refused for now",
        Says::Undone => "undone",
    };
    match event {
        Event::Start => "the run starts".to_owned(),
        Event::Command {
            send,
            says: said,
            keeps,
            overtakes,
        } => {
            let overtakes = if overtakes { ", before its turn" } else { "" };
            let keeps = if keeps { "; it will come again" } else { "" };
            let said = said.map_or("takes no notice", says);
            let command = command(send);
            format!("the participant gets {command}{overtakes}: {said}{keeps}")
        }
        Event::Reply {
            send,
            says: said,
            keeps,
        } => {
            let keeps = if keeps { "; it will come again" } else { "" };
            format!(
                "the saga learns that {} is {}{keeps}",
                command(send),
                says(said)
            )
        }
        Event::TimedOut { step, .. } => format!("the time of {} is over", name(step)),
        Event::Deadline { .. } => "the saga's deadline passes".to_owned(),
        Event::Silent(step) => format!("the participant of {} falls silent", name(step)),
        Event::Cancel => "somebody cancels the run".to_owned(),
        Event::Retry(step) => format!("an operator has {} sent again", name(step)),
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.violation)?;
        for (number, line) in self.history.iter().enumerate() {
            writeln!(f, "{:>3}. {line}", number + 1)?;
        }
        write!(f, "the saga's view: {}", self.steps.join(", "))
    }
}

impl std::error::Error for Counterexample {}
