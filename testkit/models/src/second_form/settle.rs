//! How the watermark moves.

use crate::message::Messages;

use super::{
    SecondForm,
    action::Action,
    bounds::Settled,
    log::above,
    rule::Rule,
    state::{Relay, Settling, State, Step},
};

impl SecondForm {
    /// Whether those that could still fill a hole up to L have ended.
    pub(super) fn have_ended(&self, state: &State, relay: &Relay) -> bool {
        let open = self.bounds.messages.iter().filter(|m| state.is_open(**m));
        match self.bounds.settled {
            Settled::ByIds => {
                let oldest = open.map(|m| state.writers[*m].id).min();
                oldest.unwrap_or(state.next_id) > relay.settling.id
            }
            Settled::ByLocks => {
                let mut open = open;
                !open.any(|m| relay.settling.holders.contains(*m))
            }
        }
    }

    pub(super) fn settle(&self, state: &mut State, action: Action) {
        match action {
            Action::ReadLimit(name) => {
                let settling = &mut state.relays[name].settling;
                settling.limit = state.drawn;
                settling.step = if self.has(Rule::LimitFirst) {
                    Step::Limited
                } else {
                    Step::Waiting
                };
            }
            Action::TakeId(name) => {
                match self.bounds.settled {
                    Settled::ByIds => {
                        state.relays[name].settling.id = state.next_id;
                        state.next_id += 1;
                    }
                    Settled::ByLocks => {
                        let messages = self.bounds.messages.iter().copied();
                        let open = Messages::of(messages.filter(|m| state.is_open(*m)));
                        state.relays[name].settling.holders = open;
                    }
                }
                state.relays[name].settling.step = if self.has(Rule::LimitFirst) {
                    Step::Waiting
                } else {
                    Step::Marked
                };
            }
            Action::SeeEnded(name) => {
                let settling = &mut state.relays[name].settling;
                settling.id = 0;
                settling.holders = Messages::NONE;
                settling.step = if self.has(Rule::ReadAfterSeen) {
                    Step::Seen
                } else {
                    Step::Moving
                };
            }
            Action::LastRead(name) => {
                let settling = &mut state.relays[name].settling;
                if self.has(Rule::ReadAfterSeen) {
                    settling.step = Step::Moving;
                } else {
                    settling.has_read = true;
                }
            }
            Action::MoveWatermark(name) if self.may_write(state, name) => {
                let relay = state.relays[name];
                let watermark = relay.watermark.max(relay.settling.limit);
                let published = above(state, relay.published, watermark);
                let relay = &mut state.relays[name];
                relay.watermark = watermark;
                relay.published = published;
                relay.settling = Settling::default();
                self.write_cursor(state, name);
            }
            _ => {}
        }
    }
}
