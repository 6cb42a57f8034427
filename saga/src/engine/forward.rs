//! Towards the end of the saga.

use std::time::Duration;

use super::{Turn, may_undo};
use crate::{
    Attempt,
    definition::Shape,
    document::Document,
    journal::Entry,
    state::{Phase, Progress, Reason},
};

impl Turn {
    pub(super) fn start(&mut self, shape: &Shape) {
        let is_new = self.state.steps.iter().all(|step| step.attempt == 0);
        if is_new {
            self.journal.push(Entry::Started);
            self.enter(shape, 0);
        }
    }

    /// Sends the commands of a stage; behind the last one the run is complete.
    pub(super) fn enter(&mut self, shape: &Shape, stage: usize) {
        if stage >= shape.stages() {
            self.state.phase = Phase::Completed;
            self.state.deadline = None;
            self.journal.push(Entry::Completed);
            return;
        }
        for (step, _) in shape.stage(stage) {
            if let Some(step) = self.state.steps.get_mut(step) {
                step.attempt = 1;
            }
            self.send(shape, step);
        }
    }

    /// Sends the do of a step with the attempt that its state has.
    pub(super) fn send(&mut self, shape: &Shape, step: usize) {
        let Some(attempt) = self.state.steps.get(step).map(|step| step.attempt) else {
            return;
        };
        self.set(step, Progress::Sent, timeout(shape, step));
        self.push(shape, step, Attempt::Do(attempt));
    }

    pub(super) fn done(&mut self, shape: &Shape, step: usize, result: &Document) {
        self.set(step, Progress::Done, None);
        let (Some(found), Some(step_shape)) =
            (self.state.steps.get_mut(step), shape.steps.get(step))
        else {
            return;
        };
        found.result = Some(result.clone());
        self.journal.push(Entry::Done {
            step: step_shape.name.clone(),
            result: result.clone(),
        });
        let stage = step_shape.stage;
        let steps = &self.state.steps;
        let is_done = |place: usize| {
            let step = steps.get(place);
            step.is_some_and(|step| step.progress == Progress::Done)
        };
        if shape.stage(stage).all(|(place, _)| is_done(place)) {
            self.enter(shape, stage + 1);
        }
    }

    /// A refusal for now waits for its next attempt, unless the run is to be cancelled; a refusal
    /// for good undoes everything.
    pub(super) fn refused(
        &mut self,
        shape: &Shape,
        step: usize,
        refusal: &Document,
        retry: Option<Duration>,
    ) {
        let Some(step_shape) = shape.steps.get(step) else {
            return;
        };
        let name = step_shape.name.clone();
        let entry = Entry::refused(name.clone(), refusal.clone(), retry);
        self.journal.push(entry);
        if let Some(delay) = retry {
            self.set(step, Progress::Waiting, Some(delay));
            if let Some(step) = self.state.steps.get_mut(step) {
                step.attempt = step.attempt.saturating_add(1);
            }
            if let Some(by) = self.state.cancel.clone()
                && may_undo(shape, &self.state)
            {
                self.go_back(shape, Reason::Cancelled { by });
            }
            return;
        }
        self.set(step, Progress::Refused, None);
        let refusal = refusal.clone();
        self.go_back(
            shape,
            Reason::Refused {
                step: name,
                refusal,
            },
        );
    }
}

pub(super) fn timeout(shape: &Shape, step: usize) -> Option<Duration> {
    shape.steps.get(step).map(|step| step.timeout)
}
