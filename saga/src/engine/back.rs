//! Back to the beginning.

use super::{Turn, forward::timeout};
use crate::{
    Attempt,
    definition::Shape,
    journal::Entry,
    state::{Phase, Progress, Reason},
};

impl Turn {
    /// Undoes everything, the steps in flight too: their outcome is unknown. A step that was
    /// refused, or waits for its next attempt, has nothing to undo.
    pub(super) fn go_back(&mut self, shape: &Shape, reason: Reason) {
        self.state.phase = Phase::Undoing;
        self.state.deadline = None;
        self.state.is_past_deadline = false;
        self.state.cancel = None;
        self.state.reason = Some(reason.clone());
        self.journal.push(Entry::Undoing { reason });
        for step in 0..shape.steps.len() {
            let progress = self.state.steps.get(step).map(|step| step.progress);
            if progress == Some(Progress::Waiting) {
                self.set(step, Progress::Refused, None);
            }
        }
        self.undo_last(shape);
    }

    pub(super) fn undone(&mut self, shape: &Shape, step: usize) {
        self.set(step, Progress::Undone, None);
        if let Some(step) = shape.steps.get(step) {
            let step = step.name.clone();
            self.journal.push(Entry::StepUndone { step });
        }
        let is_undoing = |step: &crate::state::StepState| step.progress == Progress::Undoing;
        if !self.state.steps.iter().any(is_undoing) {
            self.undo_last(shape);
        }
    }

    /// Sends the undos of the last stage that has something to undo; without one the run has ended.
    fn undo_last(&mut self, shape: &Shape) {
        for stage in (0..shape.stages()).rev() {
            let steps: Vec<usize> = shape
                .stage(stage)
                .map(|(place, _)| place)
                .filter(|place| self.is_to_be_undone(*place))
                .collect();
            for step in &steps {
                self.set(*step, Progress::Undoing, timeout(shape, *step));
                self.push(shape, *step, Attempt::Undo);
            }
            if !steps.is_empty() {
                return;
            }
        }
        self.state.phase = Phase::Undone;
        self.journal.push(Entry::Undone);
    }

    fn is_to_be_undone(&self, step: usize) -> bool {
        let step = self.state.steps.get(step);
        step.is_some_and(|step| matches!(step.progress, Progress::Sent | Progress::Done))
    }
}
