//! The protocol as a pure function: (shape, state, input) → (state, commands, journal).
//!
//! Nothing here reads a clock, a database or a message. [`advance`] is what the orchestrator runs,
//! and what [`check`](crate::check) explores.

mod acts;
mod back;
mod forward;

use std::time::Duration;

use crate::{
    Attempt,
    definition::{Role, Shape, StepShape},
    document::Document,
    journal::Entry,
    operator::Signature,
    state::{Phase, Progress, Reason, State},
};

pub use acts::Cancellation;

/// What a run is told.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the engine acts on each of them")]
pub enum Input {
    /// It begins.
    Start,
    /// A participant answered this attempt of a step.
    Reply {
        /// The step's place.
        step: usize,
        /// The attempt that it answers.
        attempt: Attempt,
        /// What it says.
        reply: Reply,
    },
    /// Time has passed.
    Timer,
    /// Somebody wants it undone.
    Cancel(Signature),
    /// An operator wants the step in flight to be asked again, or a waiting one to be tried now.
    Retry {
        /// The step's place.
        step: usize,
        /// Who, and why.
        by: Signature,
    },
    /// An operator knows the outcome of a step.
    Skip {
        /// The step's place.
        step: usize,
        /// The result of its do; not looked at if it is being undone.
        result: Document,
        /// Who, and why.
        by: Signature,
    },
}

/// What a participant says.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these three")]
pub enum Reply {
    /// The step is done.
    Done(Document),
    /// The step is refused.
    Refused {
        /// Why.
        refusal: Document,
        /// When another attempt is worth it.
        retry: Option<Duration>,
    },
    /// The step is undone.
    Undone,
}

/// A command to send.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(clippy::exhaustive_structs, reason = "it is complete")]
pub struct Send {
    /// The step's place.
    pub step: usize,
    /// Do or undo.
    pub attempt: Attempt,
}

/// What the engine made of an input.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "the state is to be saved, and the commands are to be sent"]
#[non_exhaustive]
pub struct Turn {
    /// The new state.
    pub state: State,
    /// Commands to send, in order.
    pub commands: Vec<Send>,
    /// What to write into the journal.
    pub journal: Vec<Entry>,
}

/// Advances a run.
///
/// `elapsed` is the time since the state was saved. An input that the run does not wait for, such
/// as a duplicate reply, changes nothing but the times that are left.
pub fn advance(shape: &Shape, state: &State, elapsed: Duration, input: &Input) -> Turn {
    let mut turn = Turn {
        state: state.clone(),
        commands: Vec::new(),
        journal: Vec::new(),
    };
    if turn.state.status().is_ended() || turn.state.broken.is_some() {
        return turn;
    }
    turn.pass(elapsed);
    match input {
        Input::Start => turn.start(shape),
        Input::Reply {
            step,
            attempt,
            reply,
        } if turn.state.expects(*step, *attempt) => turn.reply(shape, *step, reply),
        Input::Reply { .. } => {}
        Input::Timer => turn.timer(shape),
        Input::Cancel(by) => turn.cancel(shape, by),
        Input::Retry { step, by } => turn.retry(shape, *step, by),
        Input::Skip { step, result, by } => turn.skip(shape, *step, result, by),
    }
    turn
}

impl Turn {
    fn pass(&mut self, elapsed: Duration) {
        let pass = |left: &mut Option<Duration>| {
            *left = left.map(|left| left.saturating_sub(elapsed));
        };
        pass(&mut self.state.deadline);
        for step in &mut self.state.steps {
            pass(&mut step.left);
        }
    }

    fn reply(&mut self, shape: &Shape, step: usize, reply: &Reply) {
        match (self.state.phase, reply) {
            (Phase::Running, Reply::Done(result)) => self.done(shape, step, result),
            (Phase::Running, Reply::Refused { refusal, retry }) => {
                self.refused(shape, step, refusal, *retry);
            }
            (Phase::Undoing, Reply::Undone) => self.undone(shape, step),
            // Another reply than the command has: nothing that the run waits for.
            _ => {}
        }
    }

    /// Sends due attempts, and acts on what is overdue.
    fn timer(&mut self, shape: &Shape) {
        if self.state.deadline == Some(Duration::ZERO) {
            self.state.deadline = None;
            if may_undo(shape, &self.state) {
                return self.go_back(shape, Reason::DeadlineExceeded);
            }
            self.state.is_past_deadline = true;
            self.journal.push(Entry::Overdue { step: None });
        }
        for (place, step) in shape.steps.iter().enumerate() {
            let may_undo = may_undo(shape, &self.state);
            let Some(found) = self.state.steps.get_mut(place) else {
                continue;
            };
            if found.left != Some(Duration::ZERO) {
                continue;
            }
            match found.progress {
                Progress::Waiting => self.send(shape, place),
                Progress::Sent if may_undo => {
                    let step = step.name.clone();
                    return self.go_back(shape, Reason::TimedOut { step });
                }
                _ => {
                    found.left = None;
                    found.is_overdue = true;
                    let step = Some(step.name.clone());
                    self.journal.push(Entry::Overdue { step });
                }
            }
        }
    }

    /// Changes one step, and forgets how long it has taken.
    fn set(&mut self, step: usize, progress: Progress, left: Option<Duration>) {
        if let Some(step) = self.state.steps.get_mut(step) {
            step.progress = progress;
            step.left = left;
            step.is_overdue = false;
        }
    }

    fn push(&mut self, shape: &Shape, step: usize, attempt: Attempt) {
        if let Some(found) = shape.steps.get(step) {
            let name = found.name.clone();
            self.journal.push(Entry::Sent {
                step: name,
                attempt,
            });
            self.commands.push(Send { step, attempt });
        }
    }
}

/// Whether everything so far can be undone: the pivot is not sent, or was refused for now.
#[must_use]
pub fn may_undo(shape: &Shape, state: &State) -> bool {
    let stays = |(step, progress): (&StepShape, Progress)| match step.role {
        Role::Compensable => false,
        Role::Pivot => matches!(progress, Progress::Sent | Progress::Done),
        Role::Retriable => progress != Progress::Pending,
    };
    let progress = state.steps.iter().map(|step| step.progress);
    state.phase == Phase::Running && !shape.steps.iter().zip(progress).any(stays)
}
