//! What each step does, a round above all.

use crate::{
    message::{Message, Messages, Queue},
    name::Name,
};

use super::{
    SecondForm,
    action::Action,
    bounds::Cursor,
    log::{above, highest_published, in_order},
    rule::Rule,
    state::{At, Partition, Relay, Round, Stage, State},
};

impl SecondForm {
    pub(super) fn take(&self, state: &mut State, action: Action) {
        match action {
            Action::Begin(message) => {
                state.writers[message].id = state.next_id;
                state.next_id += 1;
                has_one_more(state, message);
            }
            Action::Draw(message) => self.draw(state, message),
            Action::Commit(message) => state.writers[message].stage = Stage::Committed,
            Action::Rollback(message) => {
                state.happened.rollbacks += 1;
                state.writers[message].stage = Stage::RolledBack;
            }
            Action::TakeOver(name) => {
                state.happened.takeovers += 1;
                state.cursor.fence += 1;
                state.relays[name] = Relay {
                    fence: state.cursor.fence,
                    watermark: state.cursor.watermark,
                    published: state.cursor.published,
                    stopped: Messages::of(state.side.iter()),
                    ..Relay::default()
                };
            }
            Action::Crash(name) => {
                state.happened.crashes += 1;
                state.relays[name] = Relay::default();
            }
            Action::Read(name, limit) => {
                let rows = self.readable(state, name).iter().take(limit).collect();
                self.begin(state, name, rows);
            }
            Action::ReadSkipping(name, hole) => {
                let mut rows = self.readable(state, name);
                rows.remove(hole);
                self.begin(state, name, rows);
            }
            Action::ReadHoles(name) => {
                let relay = &state.relays[name];
                let rows = self.unpublished(state, relay);
                let tail = above(state, rows, highest_published(state, relay));
                let holes = in_order(state, rows.without(tail));
                state.relays[name].round.rows = holes;
                state.relays[name].round.at = At::Holes;
            }
            Action::ReadTail(name) => {
                let relay = &state.relays[name];
                let rows = self.unpublished(state, relay);
                let tail = above(state, rows, highest_published(state, relay));
                let holes = Messages::of(relay.round.rows.iter());
                self.begin(state, name, in_order(state, holes.and(tail)));
            }
            Action::Acknowledged(name) => acknowledged(state, name),
            Action::Refused(name) => Self::refused(state, name),
            Action::Unanswered(name, stored) => self.unanswered(state, name, stored),
            Action::Record(name) => self.record(state, name),
            Action::RecordRest(name) => self.record_rest(state, name),
            Action::ServeSide(name) => {
                if let Some(head) = state.side.first() {
                    send(state, name, head);
                    state.relays[name].served = Some(head);
                }
            }
            Action::RemoveServed(name) => self.remove_served(state, name),
            Action::Rotate => state.storage.current = Partition::Second,
            Action::CheckPartition(partition) => state.storage.checked = Some(partition),
            Action::Truncate(partition) => {
                let rows = Messages::of(self.rows_of(state, partition));
                state.storage.truncated = state.storage.truncated.and(rows);
            }
            Action::ReadLimit(_)
            | Action::TakeId(_)
            | Action::SeeEnded(_)
            | Action::LastRead(_)
            | Action::MoveWatermark(_) => self.settle(state, action),
        }
    }

    fn draw(&self, state: &mut State, message: Message) {
        let of_key = |m: &Message| m.key() == message.key();
        let committed = |m: &Message| state.writers[*m].stage == Stage::Committed;
        let messages = self.bounds.messages.iter().copied();
        let behind = Messages::of(messages.filter(of_key).filter(committed));
        state.drawn += 1;
        let writer = &mut state.writers[message];
        writer.position = state.drawn;
        writer.behind = behind;
        writer.partition = state.storage.current;
        has_one_more(state, message);
    }

    /// Rows of stopped keys are not sent: they go to the side table, in order.
    fn begin(&self, state: &mut State, name: Name, rows: Queue) {
        let stopped = if self.has(Rule::StoppedKeysFromSnapshot) {
            Messages::of(state.side.iter())
        } else {
            state.relays[name].stopped
        };
        let is_stopped = |m: &Message| {
            self.has(Rule::SideTableFirst) && stopped.iter().any(|s| s.key() == m.key())
        };
        let round = &mut state.relays[name].round;
        *round = Round::default();
        round.aside = rows.iter().filter(is_stopped).collect();
        round.rows = rows.iter().filter(|m| !is_stopped(m)).collect();
        if !rows.is_empty() {
            round.at = At::Sending;
        }
    }

    fn refused(state: &mut State, name: Name) {
        let relay = &mut state.relays[name];
        if let Some(message) = next(relay) {
            state.happened.refusals += 1;
            relay.stopped.insert(message);
            relay.round.aside.push(message);
            for follower in of_key(relay.round.rows, message) {
                relay.round.rows.remove(follower);
                relay.round.aside.push(follower);
            }
        }
    }

    fn unanswered(&self, state: &mut State, name: Name, stored: bool) {
        let relay = &mut state.relays[name];
        if let Some(message) = next(relay) {
            state.happened.lost_answers += 1;
            if self.has(Rule::NothingBehindUnknown) {
                for follower in of_key(relay.round.rows, message) {
                    relay.round.rows.remove(follower);
                }
            }
            if stored {
                store(state, message);
            }
        }
    }

    /// Whether a relay's write passes; one that was fenced off stops.
    pub(super) fn may_write(&self, state: &mut State, name: Name) -> bool {
        let may = !self.has(Rule::FenceIsChecked) || state.relays[name].fence == state.cursor.fence;
        if !may {
            state.relays[name] = Relay::default();
        }
        may
    }

    fn record(&self, state: &mut State, name: Name) {
        if !self.may_write(state, name) {
            return;
        }
        let aside = state.relays[name].round.aside;
        if !self.has(Rule::RecordedWithMove) {
            move_aside(state, aside);
            state.relays[name].round.at = At::HalfRecorded;
        } else if !self.has(Rule::MovedWithRecord) {
            self.write_ranges(state, name);
            state.relays[name].round.aside = aside;
            state.relays[name].round.at = At::HalfRecorded;
        } else {
            move_aside(state, aside);
            self.write_ranges(state, name);
        }
    }

    fn record_rest(&self, state: &mut State, name: Name) {
        if !self.may_write(state, name) {
            return;
        }
        if self.has(Rule::RecordedWithMove) {
            let aside = state.relays[name].round.aside;
            move_aside(state, aside);
            state.relays[name].round = Round::default();
        } else {
            self.write_ranges(state, name);
        }
    }

    fn write_ranges(&self, state: &mut State, name: Name) {
        let Relay {
            round,
            watermark,
            published,
            ..
        } = state.relays[name];
        let aside = Messages::of(round.aside.iter());
        let all = published.and(round.acknowledged).and(aside);
        state.history.recorded = state.history.recorded.and(round.acknowledged);
        state.relays[name].published = above(state, all, watermark);
        state.relays[name].round = Round::default();
        self.write_cursor(state, name);
    }

    pub(super) fn write_cursor(&self, state: &mut State, name: Name) {
        let Relay {
            watermark,
            published,
            ..
        } = state.relays[name];
        // The rounds of one relay share its memory.
        if self.bounds.pipeline {
            state.relays[name.other()].watermark = watermark;
            state.relays[name.other()].published = published;
        }
        match self.bounds.cursor {
            Cursor::Whole => {
                state.cursor.watermark = watermark;
                state.cursor.published = published;
            }
            Cursor::Merged => {
                let highest = state.cursor.watermark.max(watermark);
                state.cursor.watermark = highest;
                let all = state.cursor.published.and(published);
                state.cursor.published = above(state, all, highest);
            }
        }
    }

    fn remove_served(&self, state: &mut State, name: Name) {
        if !self.may_write(state, name) {
            return;
        }
        if let Some(message) = state.relays[name].served.take() {
            state.history.recorded.insert(message);
            state.side.remove(message);
            let left = state.side;
            let relay = &mut state.relays[name];
            let stopped = relay.stopped.iter();
            let is_stopped = |m: &Message| left.iter().any(|s| s.key() == m.key());
            relay.stopped = Messages::of(stopped.filter(is_stopped));
        }
    }
}

fn acknowledged(state: &mut State, name: Name) {
    if let Some(message) = next(&mut state.relays[name]) {
        state.relays[name].round.acknowledged.insert(message);
        send(state, name, message);
    }
}

fn send(state: &mut State, name: Name, message: Message) {
    let owns = state.relays[name].fence == state.cursor.fence;
    state.history.sent_again |= owns && state.history.recorded.contains(message);
    store(state, message);
}

fn store(state: &mut State, message: Message) {
    let writer = state.writers[message];
    let is_missing = |m: Message| state.stored[m] == 0;
    let overtakes = is_missing(message) && writer.behind.iter().any(is_missing);
    state.history.out_of_order |= overtakes;
    state.history.invented |= writer.stage != Stage::Committed;
    state.stored[message] = (state.stored[message] + 1).min(2);
}

fn has_one_more(state: &mut State, message: Message) {
    let writer = &mut state.writers[message];
    writer.stage = match writer.stage {
        Stage::NotBegun => Stage::Begun,
        _ => Stage::Written,
    };
}

/// Takes the next row of a round.
fn next(relay: &mut Relay) -> Option<Message> {
    let message = relay.round.rows.first()?;
    relay.round.rows.remove(message);
    Some(message)
}

fn of_key(rows: Queue, message: Message) -> impl Iterator<Item = Message> {
    rows.iter().filter(move |m| m.key() == message.key())
}

fn move_aside(state: &mut State, rows: Queue) {
    for row in rows.iter() {
        state.side.push(row);
    }
}
