//! The log as transactions see it, and its partitions.

use crate::{
    message::{Message, Messages, Queue},
    name::Name,
};

use super::{
    SecondForm,
    rule::Rule,
    state::{Partition, Relay, Stage, State},
};

impl SecondForm {
    /// Committed rows that are still there.
    fn visible(&self, state: &State) -> Messages {
        let rows = self.bounds.messages.iter().copied();
        let rows = rows.filter(|m| state.writers[*m].stage == Stage::Committed);
        Messages::of(rows).without(state.storage.truncated)
    }

    /// Visible rows that, as far as a relay knows, are not published.
    pub(super) fn unpublished(&self, state: &State, relay: &Relay) -> Messages {
        above(state, self.visible(state), relay.watermark).without(relay.published)
    }

    /// What a round may read now, in position order.
    pub(super) fn readable(&self, state: &State, name: Name) -> Queue {
        let relay = &state.relays[name];
        let mut rows = self.unpublished(state, relay);
        if self.bounds.pipeline {
            let in_flight = in_flight(&state.relays[name.other()]);
            rows = rows.without(in_flight);
            if self.has(Rule::DisjointRounds) {
                let of_key_in_flight = |m: &Message| in_flight.iter().any(|f| f.key() == m.key());
                rows = rows.without(Messages::of(rows.iter().filter(of_key_in_flight)));
            }
        }
        if !self.has(Rule::HolesAtAll) {
            rows = above(state, rows, highest_published(state, relay));
        }
        in_order(state, rows)
    }

    /// Whether the read before the watermark's move finds nothing up to L.
    pub(super) fn is_clean(&self, state: &State, relay: &Relay) -> bool {
        let mut rows = self.unpublished(state, relay);
        rows = rows.without(above(state, rows, relay.settling.limit));
        if !self.has(Rule::InFlightIsUnpublished) {
            for name in Name::BOTH {
                rows = rows.without(in_flight(&state.relays[name]));
            }
        }
        rows.is_empty()
    }

    /// Rows of a partition.
    pub(super) fn rows_of(
        &self,
        state: &State,
        partition: Partition,
    ) -> impl Iterator<Item = Message> {
        let writers = state.writers;
        let rows = self.visible(state);
        rows.iter()
            .filter(move |m| writers[*m].partition == partition)
    }

    /// Whether all rows of a partition that are visible lie below the watermark.
    pub(super) fn is_below_watermark(&self, state: &State, partition: Partition) -> bool {
        let watermark = state.cursor.watermark;
        self.rows_of(state, partition)
            .all(|m| state.writers[m].position <= watermark)
    }

    /// Whether an open transaction has written to it, and holds its lock.
    pub(super) fn is_written_to(&self, state: &State, partition: Partition) -> bool {
        let mut writers = self.bounds.messages.iter().map(|m| state.writers[*m]);
        writers.any(|w| w.stage == Stage::Written && w.partition == partition)
    }
}

/// Rows that a round has read and that are not recorded.
fn in_flight(relay: &Relay) -> Messages {
    let round = &relay.round;
    let unsettled = round.rows.iter().chain(round.aside.iter());
    Messages::of(unsettled).and(round.acknowledged)
}

pub(super) fn highest_published(state: &State, relay: &Relay) -> u8 {
    let published = relay.published.iter().map(|m| state.writers[m].position);
    published.max().unwrap_or(relay.watermark)
}

/// Those above a position.
pub(super) fn above(state: &State, rows: Messages, position: u8) -> Messages {
    Messages::of(
        rows.iter()
            .filter(|m| state.writers[*m].position > position),
    )
}

pub(super) fn in_order(state: &State, rows: Messages) -> Queue {
    let mut rows: Vec<Message> = rows.iter().collect();
    rows.sort_by_key(|m| state.writers[*m].position);
    rows.into_iter().collect()
}
