//! The shell that all protocols share: a protocol, within bounds, as a stateright model.

use std::{fmt::Debug, hash::Hash, ops::Deref};

use enum_map::{Enum, EnumMap};
use stateright::{Model, Property};

use crate::{
    message::{Message, Messages},
    outbox::Outbox,
};

/// A protocol. A value of it says which form of the protocol a case is about.
pub(crate) trait Protocol: Copy + Default + Debug + Send + Sync + 'static {
    /// Everything that there is at one moment.
    type State: Copy + Default + Eq + Hash + Debug + Send + Sync;
    /// What protects the guarantees.
    type Rule: Copy + Eq + Debug + Send + Sync;

    fn first(_: &Bounded<Self>) -> Self::State {
        Self::State::default()
    }

    /// Adds what can happen in a state.
    fn steps(model: &Bounded<Self>, steps: &mut Steps<'_, Self::State>);

    fn guarantees(model: &Bounded<Self>) -> Guarantees<Self>;

    /// A state in few words, for whoever reads a trace.
    fn view(state: &Self::State) -> String;
}

/// What may happen only so often in a case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Enum)]
pub(crate) enum Mishap {
    /// A writer rolls back.
    Rollback,
    /// The broker refuses a message, at each attempt.
    Refusal,
    /// An answer of the broker is lost: the message was stored, or not, or is stored later.
    LostAnswer,
    /// The answer to a commit is lost: it was done, or not, or is done later.
    LostCommit,
    /// A lease ends while its owner lives.
    Stall,
    /// A relay gives its shard up.
    Release,
    /// Another relay owns the shard; the former owner does not know.
    Takeover,
    /// The broker gives the partition to another worker; the former holder does not know.
    Rebalance,
    /// A relay or worker dies.
    Crash,
    /// An operator's process dies.
    OperatorCrash,
    /// The database's server crashes and restarts.
    ServerCrash,
    /// A process stops for ever within a transaction.
    Freeze,
    /// A handler fails.
    Failure,
    /// A message cannot be dead-lettered.
    FailedDeadLetter,
    /// An operator replays, discards or restores a message.
    Act,
    /// The lifetime of a kept answer ends.
    Expiry,
}

/// What is written, or lies in the partition, in this order.
pub(crate) type Log = &'static [Message];

/// What may happen, as often as it is in the list.
pub(crate) type Budget = &'static [Mishap];

/// A protocol within bounds.
#[derive(Clone, Debug)]
pub(crate) struct Bounded<P: Protocol> {
    pub(crate) form: P,
    pub(crate) messages: Log,
    pub(crate) mishaps: Budget,
    pub(crate) without: Option<P::Rule>,
}

/// A state, and which mishaps have led to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Run<S> {
    state: S,
    /// How often.
    happened: EnumMap<Mishap, u8>,
}

impl<S> Run<S> {
    pub(crate) fn had(&self, mishaps: &[Mishap]) -> bool {
        mishaps.iter().any(|mishap| self.happened[*mishap] > 0)
    }
}

impl<S> Deref for Run<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.state
    }
}

/// What can happen in a state, and what comes of it.
pub(crate) struct Steps<'a, S> {
    pub(crate) state: &'a S,
    run: &'a Run<S>,
    mishaps: Budget,
    is_at_rest: bool,
    /// None = the question is only whether things are at rest.
    next: Option<&'a mut Vec<Run<S>>>,
    /// What leads there; wanted for traces only.
    labels: Option<&'a mut Vec<String>>,
}

impl<S: Copy + Eq> Steps<'_, S> {
    /// What is done as long as anybody is there. When nothing of it is left, things are at rest.
    pub(crate) fn duty(&mut self, who: impl Debug, what: &str, then: impl FnOnce(&mut S)) {
        self.is_at_rest = false;
        self.add(None, who, what, then);
    }

    pub(crate) fn duty_if(
        &mut self,
        is_due: bool,
        who: impl Debug,
        what: &str,
        then: impl FnOnce(&mut S),
    ) {
        if is_due {
            self.duty(who, what, then);
        }
    }

    /// What somebody may do or leave.
    pub(crate) fn choice(&mut self, who: impl Debug, what: &str, then: impl FnOnce(&mut S)) {
        self.add(None, who, what, then);
    }

    /// What may happen as long as it has not happened often enough.
    pub(crate) fn mishap(
        &mut self,
        mishap: Mishap,
        who: impl Debug,
        what: &str,
        then: impl FnOnce(&mut S),
    ) {
        if self.may(mishap) {
            self.add(Some(mishap), who, what, then);
        }
    }

    pub(crate) fn may(&self, mishap: Mishap) -> bool {
        let most = self.mishaps.iter().filter(|m| **m == mishap).count();
        usize::from(self.run.happened[mishap]) < most
    }

    fn add(
        &mut self,
        mishap: Option<Mishap>,
        who: impl Debug,
        what: &str,
        then: impl FnOnce(&mut S),
    ) {
        let Some(next) = &mut self.next else {
            return;
        };
        let mut run = *self.run;
        if let Some(mishap) = mishap {
            run.happened[mishap] += 1;
        }
        then(&mut run.state);
        // A step that changes nothing is none.
        if run != *self.run {
            next.push(run);
            if let Some(labels) = &mut self.labels {
                labels.push(format!("{who:?} {what}").replace('"', ""));
            }
        }
    }
}

impl<P: Protocol> Bounded<P> {
    pub(crate) fn has(&self, rule: P::Rule) -> bool {
        self.without != Some(rule)
    }

    /// The first with a rule, the second without.
    pub(crate) fn either<T>(&self, rule: P::Rule, with: T, without: T) -> T {
        if self.has(rule) { with } else { without }
    }

    /// Whether one of these can happen in this case.
    pub(crate) fn expects(&self, mishaps: &[Mishap]) -> bool {
        self.mishaps.iter().any(|mishap| mishaps.contains(mishap))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Message> {
        self.messages.iter().copied()
    }

    /// Messages of the same key that come before this one.
    pub(crate) fn preceding(&self, message: Message) -> Messages {
        let earlier: Messages = self.all().take_while(|m| *m != message).collect();
        earlier.of_key(message.key())
    }

    /// Whether every writer has committed.
    pub(crate) fn is_committed(&self, outbox: &Outbox) -> bool {
        outbox.committed() == self.all().collect()
    }

    /// The message at an offset.
    pub(crate) fn message(&self, offset: u8) -> Message {
        self.messages[usize::from(offset)]
    }

    /// The offset behind the last message.
    pub(crate) fn end(&self) -> u8 {
        u8::try_from(self.messages.len()).unwrap_or(u8::MAX)
    }

    /// Whether nothing has to be done any more; what may go wrong does not count.
    pub(crate) fn is_at_rest(&self, run: &Run<P::State>) -> bool {
        self.steps(run, None, None)
    }

    /// The step that leads from a state to one of the next.
    pub(crate) fn label(&self, run: &Run<P::State>, next: &Run<P::State>) -> String {
        let (mut all, mut labels) = (Vec::new(), Vec::new());
        self.steps(run, Some(&mut all), Some(&mut labels));
        let found = labels.into_iter().zip(all).find(|(_, run)| run == next);
        found.map(|(label, _)| label).unwrap_or_default()
    }

    /// Adds the states that can be next; answers whether nothing has to be done.
    fn steps(
        &self,
        run: &Run<P::State>,
        next: Option<&mut Vec<Run<P::State>>>,
        labels: Option<&mut Vec<String>>,
    ) -> bool {
        let mut steps = Steps {
            state: &run.state,
            run,
            mishaps: self.mishaps,
            is_at_rest: true,
            next,
            labels,
        };
        P::steps(self, &mut steps);
        steps.is_at_rest
    }
}

/// An action is the state that it leads to. So one place says when a step is taken and what it does.
impl<P: Protocol> Model for Bounded<P> {
    type State = Run<P::State>;
    type Action = Run<P::State>;

    fn init_states(&self) -> Vec<Self::State> {
        vec![Run {
            state: P::first(self),
            happened: EnumMap::default(),
        }]
    }

    fn actions(&self, run: &Self::State, next: &mut Vec<Self::Action>) {
        self.steps(run, Some(next), None);
    }

    fn next_state(&self, _: &Self::State, next: Self::Action) -> Option<Self::State> {
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        P::guarantees(self).0
    }
}

/// What is checked of a state.
type Condition<P> = fn(&Bounded<P>, &Run<<P as Protocol>::State>) -> bool;

/// What must hold in every state, and what must be reached in some.
pub(crate) struct Guarantees<P: Protocol>(Vec<Property<Bounded<P>>>);

impl<P: Protocol> Guarantees<P> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn always(mut self, name: &'static str, condition: Condition<P>) -> Self {
        self.0.push(Property::always(name, condition));
        self
    }

    pub(crate) fn reaches(self, name: &'static str, condition: Condition<P>) -> Self {
        self.reaches_if(true, name, condition)
    }

    /// A run that does not reach it is vacuous, if the case is about it.
    pub(crate) fn reaches_if(
        mut self,
        is_expected: bool,
        name: &'static str,
        condition: Condition<P>,
    ) -> Self {
        if is_expected {
            self.0.push(Property::sometimes(name, condition));
        }
        self
    }
}
