//! Offsets: when they are committed, and how partitions are given back.

use mainstay_clock::Monotonic;
use mainstay_database::Transactions;
use mainstay_messaging::{Flow, Partition, Position};

use super::{super::pump::Command, Engine};
use crate::{Inbox, MarkRetention};

impl<T, I> Engine<T, I>
where
    T: Transactions + ?Sized,
    I: Inbox<Connection = T::Connection> + MarkRetention + ?Sized,
{
    /// Commits offsets, if there is something to commit and the last time is long enough ago.
    pub(super) fn save(&mut self, now: Monotonic) {
        if !self.saves.due || self.saves.outstanding || !self.saves.next.has_passed_at(now) {
            return;
        }
        self.saves.due = false;
        self.changed = true;
        let positions = self.holdings.committable();
        if !positions.is_empty() {
            self.saves.outstanding = true;
            self.command(Command::Commit(positions));
        }
    }

    /// The interval counts from the answer: a slow broker must not be asked for nothing but commits.
    pub(super) fn saved(&mut self, positions: &[Position]) {
        self.saves.outstanding = false;
        self.saves.next = self.now() + self.work.settings.commit_interval;
        self.answered();
        self.holdings.committed(positions);
        self.progress.send_replace(self.holdings.progress());
        self.changed = true;
    }

    /// Tried again after a while: what was lost in the meantime will have been told by then.
    pub(super) fn not_saved(&mut self, error: &mainstay_messaging::Error) {
        self.saves.outstanding = false;
        self.saves.due = true;
        let settings = &self.work.settings;
        let pause = settings
            .commit_interval
            .max(settings.backoff.delay(0, &settings.ids));
        self.saves.next = self.now() + pause;
        if error.is_retryable() {
            self.impeded(error);
        } else {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "offsets were not committed"
            );
        }
    }

    /// Pauses partitions whose span has reached its bound, and lets those go on that have room again.
    pub(super) fn regulate(&mut self) {
        for (flow, partitions) in self.holdings.turn() {
            if partitions.is_empty() {
                continue;
            }
            if flow == Flow::Paused {
                tracing::debug!(?partitions, "paused: the span has reached its bound");
            }
            self.changed = true;
            self.command(Command::Flow(partitions, flow));
        }
    }

    /// Gives back the partitions that were asked back, once nothing of them is in flight or their time is up.
    pub(super) fn hand_over(&mut self, now: Monotonic) {
        let mut going: Vec<Partition> = Vec::new();
        let mut within = self.work.settings.drain;
        for (slot, holding) in self.holdings.iter() {
            let Some(abandon_at) = holding.abandon_at else {
                continue;
            };
            if self.flights.concern(slot) {
                if !abandon_at.has_passed_at(now) {
                    continue;
                }
                // Its messages are delivered to the next holder; if this commits all the same, the marks decide.
                self.flights.abandon(slot);
            }
            within = within.min(abandon_at.remaining_at(now));
            going.push(Partition::clone(&holding.partition));
        }
        if going.is_empty() {
            return;
        }
        let mut positions = Vec::new();
        for partition in &going {
            if let Some((_, holding)) = self.holdings.remove(partition) {
                positions.extend(holding.committable());
            }
        }
        self.command(Command::Release {
            positions,
            partitions: going,
            within: within.max(self.work.settings.commit_interval),
        });
        self.progress.send_replace(self.holdings.progress());
        self.changed = true;
    }
}
