//! What operators do to a run.

use super::{Turn, forward::timeout, may_undo};
use crate::{
    Attempt,
    definition::{Role, Shape},
    document::Document,
    journal::Entry,
    operator::Signature,
    state::{Phase, Progress, Reason, State, Status},
};

/// What became of a request to cancel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use = "a run may be beyond cancelling"]
#[expect(clippy::exhaustive_enums, reason = "callers act on each of them")]
pub enum Cancellation {
    /// The run is being undone.
    Accepted,
    /// The pivot was sent, and its answer has not come. If it is refused, the run is undone;
    /// otherwise it completes.
    Undecided,
    /// The pivot is done: the run completes.
    TooLate,
    /// The run was being undone before.
    Undoing,
    /// The run has ended, or stands still because it is broken: mend it first.
    Not(Status),
}

impl Cancellation {
    /// What would become of a request to cancel a run in this state.
    pub fn of(shape: &Shape, state: &State) -> Self {
        let status = state.status();
        let pivot = shape.steps.iter().position(|step| step.role == Role::Pivot);
        let pivot = pivot.and_then(|pivot| state.steps.get(pivot));
        match status {
            Status::Undoing => Self::Undoing,
            Status::Running if may_undo(shape, state) => Self::Accepted,
            Status::Running if pivot.is_some_and(|pivot| pivot.progress == Progress::Sent) => {
                Self::Undecided
            }
            Status::Running => Self::TooLate,
            Status::Broken | Status::Completed | Status::Undone => Self::Not(status),
        }
    }
}

impl Turn {
    /// A refusal at the next safe point.
    pub(super) fn cancel(&mut self, shape: &Shape, by: &Signature) {
        let by = by.clone();
        match Cancellation::of(shape, &self.state) {
            Cancellation::Accepted => {
                self.journal.push(Entry::CancelRequested { by: by.clone() });
                self.go_back(shape, Reason::Cancelled { by });
            }
            Cancellation::Undecided => {
                self.journal.push(Entry::CancelRequested { by: by.clone() });
                self.state.cancel = Some(by);
            }
            Cancellation::TooLate | Cancellation::Undoing | Cancellation::Not(_) => {}
        }
    }

    /// Sends the command that is in flight once more, under the same id, or a waiting attempt now.
    pub(super) fn retry(&mut self, shape: &Shape, step: usize, by: &Signature) {
        let (Some(found), Some(step_shape)) = (self.state.steps.get(step), shape.steps.get(step))
        else {
            return;
        };
        let entry = Entry::Retried {
            step: step_shape.name.clone(),
            by: by.clone(),
        };
        match found.progress {
            Progress::Sent | Progress::Waiting => {
                self.journal.push(entry);
                self.send(shape, step);
            }
            Progress::Undoing => {
                self.journal.push(entry);
                self.set(step, Progress::Undoing, timeout(shape, step));
                self.push(shape, step, Attempt::Undo);
            }
            Progress::Pending | Progress::Done | Progress::Refused | Progress::Undone => {}
        }
    }

    /// Takes the outcome of a step from an operator.
    pub(super) fn skip(&mut self, shape: &Shape, step: usize, result: &Document, by: &Signature) {
        let (Some(found), Some(step_shape)) = (self.state.steps.get(step), shape.steps.get(step))
        else {
            return;
        };
        let entry = Entry::Skipped {
            step: step_shape.name.clone(),
            by: by.clone(),
        };
        match (self.state.phase, found.progress) {
            (Phase::Running, Progress::Sent | Progress::Waiting) => {
                self.journal.push(entry);
                self.done(shape, step, result);
            }
            (Phase::Undoing, Progress::Undoing) => {
                self.journal.push(entry);
                self.undone(shape, step);
            }
            _ => {}
        }
    }
}
