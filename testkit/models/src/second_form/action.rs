//! What can happen, and when.

use crate::{message::Message, name::Name};

use super::{
    SecondForm,
    log::highest_published,
    rule::Rule,
    state::{At, Partition, Relay, Stage, State, Step},
};

/// One step of somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// A writer takes its transaction id, and the table's lock.
    Begin(Message),
    /// It draws its position, and writes its row.
    Draw(Message),
    Commit(Message),
    Rollback(Message),
    TakeOver(Name),
    Crash(Name),
    /// A relay reads this many rows.
    Read(Name, usize),
    /// Wrongly: all but one hole.
    ReadSkipping(Name, Message),
    /// Wrongly: the holes, in a statement of their own.
    ReadHoles(Name),
    /// Wrongly: the tail, in a second one.
    ReadTail(Name),
    Acknowledged(Name),
    Refused(Name),
    /// The answer is lost; the message was stored, or not.
    Unanswered(Name, bool),
    /// Ranges and moves are written down.
    Record(Name),
    /// Wrongly, in a statement of its own: the other half.
    RecordRest(Name),
    /// L, the highest position drawn.
    ReadLimit(Name),
    /// X, a transaction id; or the list of those who hold the table's lock.
    TakeId(Name),
    /// Those before X have ended.
    SeeEnded(Name),
    /// Up to L no row is unpublished.
    LastRead(Name),
    MoveWatermark(Name),
    /// The first row of the side table is sent and acknowledged.
    ServeSide(Name),
    RemoveServed(Name),
    /// New rows go to the second partition.
    Rotate,
    /// Wrongly: a partition is checked before its lock is asked for.
    CheckPartition(Partition),
    Truncate(Partition),
}

impl SecondForm {
    pub(super) fn steps_of_writers(&self, state: &State, actions: &mut Vec<Action>) {
        let messages = self.bounds.messages;
        for (at, &message) in messages.iter().enumerate() {
            match state.writers[message].stage {
                // Writers of one key are alike: they begin in the order of their numbers.
                Stage::NotBegun => {
                    let mut earlier = messages[..at].iter().filter(|m| m.key() == message.key());
                    if earlier.all(|m| state.writers[*m].stage != Stage::NotBegun) {
                        actions.push(self.first_of_writer(message));
                    }
                }
                Stage::Begun => actions.push(self.second_of_writer(message)),
                Stage::Written => {
                    actions.push(Action::Commit(message));
                    if state.happened.rollbacks < self.bounds.mishaps.rollbacks {
                        actions.push(Action::Rollback(message));
                    }
                }
                Stage::Committed | Stage::RolledBack => {}
            }
        }
    }

    fn first_of_writer(&self, message: Message) -> Action {
        if self.has(Rule::IdBeforeDraw) {
            Action::Begin(message)
        } else {
            Action::Draw(message)
        }
    }

    fn second_of_writer(&self, message: Message) -> Action {
        if self.has(Rule::IdBeforeDraw) {
            Action::Draw(message)
        } else {
            Action::Begin(message)
        }
    }

    pub(super) fn steps_of_relays(&self, state: &State, actions: &mut Vec<Action>) {
        let (happened, most) = (&state.happened, &self.bounds.mishaps);
        for name in Name::BOTH {
            let relay = &state.relays[name];
            if happened.takeovers < most.takeovers && relay.fence != state.cursor.fence {
                actions.push(Action::TakeOver(name));
            }
            if relay.fence == 0 {
                continue;
            }
            if happened.crashes < most.crashes {
                actions.push(Action::Crash(name));
            }
            self.steps_of_round(state, name, actions);
            // With two rounds in flight it is one relay that does the rest.
            if !self.bounds.pipeline || name == Name::A {
                self.steps_of_settling(state, name, actions);
                self.steps_of_side(state, name, actions);
            }
        }
    }

    fn steps_of_round(&self, state: &State, name: Name, actions: &mut Vec<Action>) {
        let relay = &state.relays[name];
        match relay.round.at {
            At::Idle if !self.has(Rule::OneStatement) => actions.push(Action::ReadHoles(name)),
            At::Idle => {
                let rows = self.readable(state, name);
                actions.extend((1..=rows.iter().count()).map(|n| Action::Read(name, n)));
                if !self.has(Rule::EveryHole) && rows.iter().count() > 1 {
                    let highest = highest_published(state, relay);
                    let holes = rows.iter().filter(|m| state.writers[*m].position < highest);
                    actions.extend(holes.map(|hole| Action::ReadSkipping(name, hole)));
                }
            }
            At::Holes => actions.push(Action::ReadTail(name)),
            At::Sending if relay.round.rows.is_empty() => actions.push(Action::Record(name)),
            At::Sending => {
                let (happened, most) = (&state.happened, &self.bounds.mishaps);
                actions.push(Action::Acknowledged(name));
                if happened.refusals < most.refusals {
                    actions.push(Action::Refused(name));
                }
                if happened.lost_answers < most.lost_answers {
                    actions.push(Action::Unanswered(name, true));
                    actions.push(Action::Unanswered(name, false));
                }
            }
            At::HalfRecorded => actions.push(Action::RecordRest(name)),
        }
    }

    fn steps_of_settling(&self, state: &State, name: Name, actions: &mut Vec<Action>) {
        let relay = &state.relays[name];
        match relay.settling.step {
            Step::Idle if relay.watermark == state.drawn => {}
            Step::Idle if self.has(Rule::LimitFirst) => actions.push(Action::ReadLimit(name)),
            Step::Idle | Step::Limited => actions.push(Action::TakeId(name)),
            Step::Marked => actions.push(Action::ReadLimit(name)),
            Step::Waiting => {
                if !self.has(Rule::ReadAfterSeen) && !relay.settling.has_read {
                    if self.is_clean(state, relay) {
                        actions.push(Action::LastRead(name));
                    }
                } else if self.have_ended(state, relay) || !self.has(Rule::WaitForTheOpen) {
                    actions.push(Action::SeeEnded(name));
                }
            }
            Step::Seen => {
                if self.is_clean(state, relay) || !self.has(Rule::LastRead) {
                    actions.push(Action::LastRead(name));
                }
            }
            Step::Moving => actions.push(Action::MoveWatermark(name)),
        }
    }

    fn steps_of_side(&self, state: &State, name: Name, actions: &mut Vec<Action>) {
        let relay: &Relay = &state.relays[name];
        if relay.served.is_some() {
            actions.push(Action::RemoveServed(name));
        } else if !state.side.is_empty() {
            let log_is_done =
                relay.round.at == At::Idle && self.unpublished(state, relay).is_empty();
            if self.has(Rule::SideTableFirst) || log_is_done {
                actions.push(Action::ServeSide(name));
            }
        }
    }

    pub(super) fn steps_of_storage(&self, state: &State, actions: &mut Vec<Action>) {
        if !self.bounds.truncation {
            return;
        }
        if state.storage.current == Partition::First {
            actions.push(Action::Rotate);
        }
        for partition in [Partition::First, Partition::Second] {
            let is_below = self.is_below_watermark(state, partition);
            if !self.has(Rule::CheckUnderLock) && state.storage.checked.is_none() && is_below {
                actions.push(Action::CheckPartition(partition));
            }
            let is_checked = if self.has(Rule::CheckUnderLock) {
                is_below
            } else {
                state.storage.checked == Some(partition)
            };
            if is_checked
                && self.rows_of(state, partition).next().is_some()
                && !self.is_written_to(state, partition)
            {
                actions.push(Action::Truncate(partition));
            }
        }
    }
}
