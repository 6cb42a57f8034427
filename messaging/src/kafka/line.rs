//! What the consumer and its polling thread share.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rdkafka::error::KafkaError;
use tokio::sync::Notify;

use crate::broker::{Delivery, Partition, Position};

/// What the polling thread is to do.
#[derive(Debug)]
pub(super) enum Command {
    Subscribe,
    /// Read these newly assigned partitions from these positions.
    Assign(Vec<Position>),
    /// Read these partitions, which are assigned, from these positions.
    Seek(Vec<Position>),
    /// Answer a revocation of these partitions.
    Unassign(Vec<Partition>),
    Pause(Vec<Partition>),
    Resume(Vec<Partition>),
    Leave,
}

/// What the polling thread forwards.
#[derive(Debug)]
pub(super) enum Incoming {
    Assigned(Vec<Partition>),
    Revoked {
        partitions: Vec<Partition>,
        /// The cluster has given them to others already.
        lost: bool,
    },
    Records(Vec<Record>),
    /// What follows of these partitions begins at their new positions.
    Positioned(Vec<Position>),
    /// The new positions could not be taken.
    NotPositioned(Vec<Position>, KafkaError),
    Left,
    Failed(KafkaError),
}

/// A record that was read ahead.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) delivery: Delivery,
    pub(super) size: usize,
}

/// Both ends wake each other: the thread by a condition variable, the consumer by a notification.
#[derive(Debug, Default)]
pub(super) struct Line {
    state: Mutex<State>,
    thread: Condvar,
    consumer: Notify,
}

#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each wakes the thread by itself"
)]
struct State {
    /// Whether the consumer waits for news. Only then the thread polls, so that a consumer that
    /// stalls leaves its group.
    wanted: bool,
    /// Each wait is a sign of life, however short it is.
    owed: bool,
    /// Whether librdkafka may have something.
    stirred: bool,
    ending: bool,
    commands: VecDeque<Command>,
    incoming: VecDeque<Incoming>,
    /// Bytes that were read ahead and may be delivered.
    ahead: usize,
}

/// What the thread is to do next.
#[derive(Debug)]
pub(super) enum Task {
    Command(Command),
    Poll,
    End,
}

/// How long the thread sleeps at most while it should poll: each poll shows that the member lives.
const POLL_AT_LEAST: Duration = Duration::from_millis(100);

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something came to librdkafka's queue.
    pub(super) fn stir(&self) {
        self.state().stirred = true;
        self.thread.notify_one();
    }

    pub(super) fn end(&self) {
        self.state().ending = true;
        self.thread.notify_one();
    }

    pub(super) fn command(&self, command: Command) {
        self.state().commands.push_back(command);
        self.thread.notify_one();
    }

    /// Lets the thread poll until the answer is dropped.
    pub(super) fn want(&self) -> Wanted<'_> {
        let mut state = self.state();
        (state.wanted, state.owed) = (true, true);
        drop(state);
        self.thread.notify_one();
        Wanted(self)
    }

    /// The thread's next task. It waits for one, with `limit` bytes to be read ahead at most.
    pub(super) fn task(&self, limit: usize) -> Task {
        let mut state = self.state();
        let mut rested = false;
        loop {
            if state.ending {
                return Task::End;
            }
            if let Some(command) = state.commands.pop_front() {
                return Task::Command(command);
            }
            let polls = state.wanted && state.ahead < limit;
            if state.owed || (polls && (state.stirred || rested)) {
                (state.owed, state.stirred) = (false, false);
                return Task::Poll;
            }
            if polls {
                let waited = self.thread.wait_timeout(state, POLL_AT_LEAST);
                let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                state = after;
                rested = timeout.timed_out();
            } else {
                let waited = self.thread.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Whether the thread may poll on with `more` bytes in its hands.
    pub(super) fn may_poll(&self, more: usize, limit: usize) -> bool {
        let state = self.state();
        state.wanted && state.commands.is_empty() && !state.ending && state.ahead + more < limit
    }

    pub(super) fn forward(&self, incoming: Incoming) {
        let mut state = self.state();
        if let Incoming::Records(records) = &incoming {
            state.ahead += records.iter().map(|record| record.size).sum::<usize>();
        }
        state.incoming.push_back(incoming);
        drop(state);
        self.consumer.notify_one();
    }

    /// What has come, in order.
    pub(super) fn take(&self) -> VecDeque<Incoming> {
        std::mem::take(&mut self.state().incoming)
    }

    /// Waits until something has come.
    pub(super) async fn news(&self) {
        self.consumer.notified().await;
    }

    /// Fewer bytes are read ahead.
    pub(super) fn shrink(&self, bytes: usize) {
        let mut state = self.state();
        state.ahead = state.ahead.saturating_sub(bytes);
        drop(state);
        self.thread.notify_one();
    }

    /// More bytes may be delivered.
    pub(super) fn grow(&self, bytes: usize) {
        self.state().ahead += bytes;
    }
}

/// While it lives, the thread polls.
#[derive(Debug)]
pub(super) struct Wanted<'l>(&'l Line);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.state().wanted = false;
    }
}
