//! A run, its participants, and the messages between them.

use std::{collections::BTreeSet, time::Duration};

use super::faults::Faults;
use crate::{
    Attempt, Document, Signature,
    definition::{Role, Shape},
    engine::{Input, Reply, Send, advance},
    state::{Phase, Progress, State},
};

/// What an answer of a participant says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Says {
    Done,
    Refused,
    RefusedForNow,
    Undone,
}

/// What a participant has done of a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Effect {
    Nothing,
    Done,
    /// With a tombstone.
    Undone,
}

/// Something that happens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Event {
    Start,
    /// A participant gets a command, and says this. None: it takes no notice.
    Command {
        send: Send,
        says: Option<Says>,
        keeps: bool,
        overtakes: bool,
    },
    Reply {
        send: Send,
        says: Says,
        keeps: bool,
    },
    /// Early: while something else could happen.
    TimedOut {
        step: usize,
        is_early: bool,
    },
    Deadline {
        is_early: bool,
    },
    Silent(usize),
    Cancel,
    Retry(usize),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct World {
    pub(super) state: State,
    pub(super) effects: Vec<Effect>,
    /// Commands on their way, in the order in which they were sent.
    commands: Vec<Send>,
    replies: BTreeSet<(Send, Says)>,
    /// Commands that participants have taken: the processed records of their inboxes.
    taken: BTreeSet<Send>,
    silent: BTreeSet<usize>,
    is_cancelled: bool,
    faults_left: u32,
    refusals_left: u32,
}

/// A world without what does not decide on its future.
pub(super) type Key = (
    Phase,
    Vec<(Progress, u32, bool, bool)>,
    (bool, bool, bool),
    Vec<Effect>,
    Vec<Send>,
    BTreeSet<(Send, Says)>,
    BTreeSet<Send>,
    BTreeSet<usize>,
    (bool, u32, u32),
);

impl World {
    pub(super) fn new(shape: &Shape, faults: Faults) -> Self {
        Self {
            state: State::new(shape),
            effects: vec![Effect::Nothing; shape.steps.len()],
            commands: Vec::new(),
            replies: BTreeSet::new(),
            taken: BTreeSet::new(),
            silent: BTreeSet::new(),
            is_cancelled: false,
            faults_left: faults.at_most,
            refusals_left: 2,
        }
    }

    pub(super) fn key(&self) -> Key {
        let step = |step: &crate::state::StepState| {
            let is_timed = step.left.is_some();
            (step.progress, step.attempt, is_timed, step.is_overdue)
        };
        let State {
            deadline, cancel, ..
        } = &self.state;
        let flags = (
            deadline.is_some(),
            self.state.is_past_deadline,
            cancel.is_some(),
        );
        (
            self.state.phase,
            self.state.steps.iter().map(step).collect(),
            flags,
            self.effects.clone(),
            self.commands.clone(),
            self.replies.clone(),
            self.taken.clone(),
            self.silent.clone(),
            (self.is_cancelled, self.faults_left, self.refusals_left),
        )
    }

    /// Everything that may happen next.
    pub(super) fn events(&self, shape: &Shape, faults: Faults) -> Vec<Event> {
        if self.state.steps.iter().all(|step| step.attempt == 0) {
            return vec![Event::Start];
        }
        let mut events = Vec::new();
        let may_fail = self.faults_left > 0;
        self.deliveries(shape, faults, &mut events);
        for &(send, says) in &self.replies {
            for keeps in [false, true] {
                if !keeps || (may_fail && faults.duplicates) {
                    events.push(Event::Reply { send, says, keeps });
                }
            }
        }
        let is_quiet = events.is_empty();
        if is_quiet || (may_fail && faults.timeouts) {
            let timed = |step: usize| self.state.steps[step].left.is_some();
            let steps = (0..shape.steps.len()).filter(|step| timed(*step));
            let is_early = !is_quiet;
            events.extend(steps.map(|step| Event::TimedOut { step, is_early }));
            if self.state.deadline.is_some() {
                events.push(Event::Deadline { is_early });
            }
        }
        if may_fail && !self.state.status().is_ended() {
            self.acts(shape, faults, &mut events);
        }
        events
    }

    /// Commands of one topic come in their order; those of several topics in any.
    fn deliveries(&self, shape: &Shape, faults: Faults, events: &mut Vec<Event>) {
        let topic = |send: &Send| shape.steps[send.step].topic;
        for (place, send) in self.commands.iter().enumerate() {
            if self.silent.contains(&send.step) {
                continue;
            }
            let earlier = &self.commands[..place];
            let overtakes = earlier.iter().any(|other| topic(other) == topic(send));
            if overtakes && !(faults.reordered && self.faults_left > 0) {
                continue;
            }
            for says in self.answers(shape, *send) {
                for keeps in [false, true] {
                    let cost = u32::from(keeps) + u32::from(overtakes);
                    if cost <= self.faults_left && (!keeps || faults.duplicates) {
                        events.push(Event::Command {
                            send: *send,
                            says,
                            keeps,
                            overtakes,
                        });
                    }
                }
            }
        }
    }

    fn acts(&self, shape: &Shape, faults: Faults, events: &mut Vec<Event>) {
        if faults.cancels && !self.is_cancelled {
            events.push(Event::Cancel);
        }
        for step in 0..shape.steps.len() {
            let progress = self.state.steps[step].progress;
            let is_in_flight = matches!(progress, Progress::Sent | Progress::Undoing);
            if faults.retries && is_in_flight {
                events.push(Event::Retry(step));
            }
            if faults.silent && is_in_flight && !self.silent.contains(&step) {
                events.push(Event::Silent(step));
            }
        }
    }

    /// What a lawful participant may say.
    fn answers(&self, shape: &Shape, send: Send) -> Vec<Option<Says>> {
        if self.taken.contains(&send) {
            return vec![None];
        }
        match (send.attempt, self.effects[send.step]) {
            (Attempt::Undo, _) => vec![Some(Says::Undone)],
            (Attempt::Do(_), Effect::Undone) => vec![None],
            (Attempt::Do(_), Effect::Done | Effect::Nothing) => {
                let mut answers = vec![Some(Says::Done)];
                if shape.steps[send.step].is_refusable {
                    answers.push(Some(Says::Refused));
                    if self.refusals_left > 0 {
                        answers.push(Some(Says::RefusedForNow));
                    }
                }
                answers
            }
        }
    }

    /// The world after something has happened.
    pub(super) fn after(&self, shape: &Shape, faults: Faults, event: Event) -> Self {
        let mut next = self.clone();
        match event {
            Event::Start => next.give(shape, &Input::Start),
            Event::Command {
                send,
                says,
                keeps,
                overtakes,
            } => {
                next.faults_left -= u32::from(keeps) + u32::from(overtakes);
                next.command(faults, send, says, keeps);
            }
            Event::Reply { send, says, keeps } => {
                next.faults_left -= u32::from(keeps);
                if !keeps {
                    next.replies.remove(&(send, says));
                }
                let Send { step, attempt } = send;
                let reply = reply(says);
                next.give(
                    shape,
                    &Input::Reply {
                        step,
                        attempt,
                        reply,
                    },
                );
            }
            Event::TimedOut { step, is_early } => {
                next.faults_left -= u32::from(is_early);
                next.state.steps[step].left = Some(Duration::ZERO);
                next.give(shape, &Input::Timer);
            }
            Event::Deadline { is_early } => {
                next.faults_left -= u32::from(is_early);
                next.state.deadline = Some(Duration::ZERO);
                next.give(shape, &Input::Timer);
            }
            Event::Silent(step) => {
                next.faults_left -= 1;
                next.silent.insert(step);
            }
            Event::Cancel => {
                next.faults_left -= 1;
                next.is_cancelled = true;
                next.give(shape, &Input::Cancel(checker()));
            }
            Event::Retry(step) => {
                next.faults_left -= 1;
                let by = checker();
                next.give(shape, &Input::Retry { step, by });
            }
        }
        next
    }

    fn command(&mut self, faults: Faults, send: Send, says: Option<Says>, keeps: bool) {
        if !keeps && let Some(place) = self.commands.iter().position(|other| *other == send) {
            self.commands.remove(place);
        }
        self.taken.insert(send);
        let Some(says) = says else { return };
        self.replies.insert((send, says));
        self.effects[send.step] = match says {
            Says::Done => Effect::Done,
            Says::Undone if faults.forgetful => Effect::Nothing,
            Says::Undone => Effect::Undone,
            Says::Refused => Effect::Nothing,
            Says::RefusedForNow => {
                self.refusals_left -= 1;
                Effect::Nothing
            }
        };
    }

    fn give(&mut self, shape: &Shape, input: &Input) {
        let turn = advance(shape, &self.state, Duration::ZERO, input);
        self.state = turn.state;
        self.commands.extend(turn.commands);
    }

    /// What must not be; none: all is well.
    pub(super) fn violation(&self, shape: &Shape, has_future: bool) -> Option<String> {
        let done = |step: usize| self.effects[step] == Effect::Done;
        let name = |step: usize| &shape.steps[step].name;
        let steps = 0..shape.steps.len();
        let pivot = steps
            .clone()
            .find(|step| shape.steps[*step].role == Role::Pivot);
        let is_back = matches!(self.state.phase, Phase::Undoing | Phase::Undone);
        if let Some(pivot) = pivot.filter(|pivot| done(*pivot) && is_back) {
            return Some(format!("{} is done, and the run is undone", name(pivot)));
        }
        for step in steps {
            let is_behind = shape.steps[step].role == Role::Retriable;
            if is_behind && done(step) && !pivot.is_some_and(done) {
                return Some(format!("{} is done without its pivot", name(step)));
            }
            match self.state.phase {
                Phase::Completed if !done(step) => {
                    return Some(format!(
                        "the run is completed, but {} is not done",
                        name(step)
                    ));
                }
                Phase::Undone if done(step) => {
                    return Some(format!("the run is undone, but {} is done", name(step)));
                }
                _ => {}
            }
        }
        let is_visible = self.state.status().is_ended() || self.state.is_overdue();
        if !has_future && !is_visible {
            let at = self.state.at().map_or("no step", |step| &step.name);
            return Some(format!(
                "the run waits for {at} forever, and nobody sees it"
            ));
        }
        None
    }
}

fn reply(says: Says) -> Reply {
    let document = Document::empty;
    match says {
        Says::Done => Reply::Done(document()),
        Says::Undone => Reply::Undone,
        Says::Refused => Reply::Refused {
            refusal: document(),
            retry: None,
        },
        Says::RefusedForNow => Reply::Refused {
            refusal: document(),
            retry: Some(Duration::from_secs(1)),
        },
    }
}

fn checker() -> Signature {
    Signature::new("check", "explored")
}
