//! Offsets: when they are committed, and how partitions are released.

use std::time::Duration;

use mainstay_clock::Monotonic;
use mainstay_messaging::{Error, Partition, Position};

use super::{super::pump::Command, Engine};
use crate::store::WorkerStore;

/// While partitions wait to be released, an interval between commits is no reason to wait longer.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);

impl<I: WorkerStore> Engine<I> {
    /// Commits offsets, if there is something to commit and the last commit is long enough ago.
    pub(super) fn commit_offsets(&mut self, now: Monotonic) {
        if !self.offsets.due || self.offsets.outstanding || !self.offsets.next.has_passed_at(now) {
            return;
        }
        self.offsets.due = false;
        self.changed = true;
        let positions = self.holdings.committable();
        if !positions.is_empty() {
            self.offsets.outstanding = true;
            self.command(Command::Commit(positions));
        }
    }

    /// The interval counts from the answer: a slow broker must have time for more than commits.
    pub(super) fn offsets_committed(&mut self, positions: &[Position]) {
        self.offsets.outstanding = false;
        self.offsets.next = self.now() + self.work.settings.commit_interval;
        self.recovered();
        self.holdings.committed(positions);
        self.progress.send_replace(self.holdings.progress());
        self.changed = true;
    }

    /// Tries again after a pause: by then the consumer has told which partitions were lost.
    pub(super) fn offsets_not_committed(&mut self, error: &Error) {
        self.offsets.outstanding = false;
        self.offsets.due = true;
        let settings = &self.work.settings;
        let pause = settings
            .commit_interval
            .max(settings.backoff.delay(0, &settings.ids));
        self.offsets.next = self.now() + pause;
        if error.is_retryable() {
            self.hindered(error);
        } else {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                consumer = %self.work.group, "offsets were not committed; the worker commits them again"
            );
        }
    }

    /// Pauses partitions whose in-flight window is full, and resumes those that have room again.
    pub(super) fn regulate(&mut self) {
        let turned = self.holdings.turn();
        if !turned.paused.is_empty() {
            tracing::debug!(partitions = ?turned.paused, "paused: the in-flight window is full");
            self.changed = true;
            self.command(Command::Pause(turned.paused));
        }
        if !turned.resumed.is_empty() {
            self.changed = true;
            self.command(Command::Resume(turned.resumed));
        }
    }

    /// Releases revoked partitions, once none of their transactions runs or their time is up.
    pub(super) fn hand_over(&mut self, now: Monotonic) {
        let mut going: Vec<Partition> = Vec::new();
        let mut within = self.work.settings.drain_timeout;
        for (slot, holding) in self.holdings.iter() {
            let Some(abandon_at) = holding.abandon_at else {
                continue;
            };
            if self.flights.concern(slot) {
                if !abandon_at.has_passed_at(now) {
                    continue;
                }
                // Its messages go to the next owner. If this still commits, the processed records
                // decide.
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
            within: within.max(self.work.settings.commit_interval.min(LONGEST_INTERVAL)),
        });
        self.progress.send_replace(self.holdings.progress());
        self.changed = true;
    }
}
