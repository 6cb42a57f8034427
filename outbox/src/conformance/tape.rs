//! A publisher that keeps what it is given and fails on demand.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use mainstay_messaging::{Error, Message, Publisher, broker::PublishOutcome};
use tokio::sync::watch;

/// A broker with one partition. Clones share it.
#[derive(Clone, Default, Debug)]
pub struct Tape {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    open: watch::Sender<bool>,
}

#[derive(Default, Debug)]
struct State {
    stored: Vec<Message>,
    refused: HashSet<String>,
    by_itself: bool,
    refusals: usize,
    away: bool,
    answers_lost: usize,
    batches: Vec<usize>,
    calls: usize,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            open: watch::channel(true).0,
        }
    }
}

impl Tape {
    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ids of stored messages, in order, including duplicates.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let stored = &self.state().stored;
        stored.iter().map(|m| m.id.to_string()).collect()
    }

    /// Ids of stored messages of one key.
    #[must_use]
    pub fn ids_of(&self, key: &str) -> Vec<String> {
        let of_key = |m: &&Message| m.key.as_ref().is_some_and(|k| k.as_str() == key);
        let stored = &self.state().stored;
        stored
            .iter()
            .filter(of_key)
            .map(|m| m.id.to_string())
            .collect()
    }

    /// Stored messages, in order.
    #[must_use]
    pub fn stored(&self) -> Vec<Message> {
        self.state().stored.clone()
    }

    /// Refuses the message with this id until [`accept`](Self::accept).
    pub fn refuse(&self, id: &str) {
        self.state().refused.insert(id.to_owned());
    }

    /// Judges each message by itself from now on: refuses even after a refusal of the same key.
    pub fn judge_each_by_itself(&self) {
        self.state().by_itself = true;
    }

    /// Accepts every message again.
    pub fn accept(&self) {
        self.state().refused.clear();
    }

    /// Number of refusals.
    #[must_use]
    pub fn refusals(&self) -> usize {
        self.state().refusals
    }

    /// While away, it stores nothing and every outcome is unknown.
    pub fn go_away(&self, away: bool) {
        self.state().away = away;
    }

    /// Stores the messages of the next calls and loses the answers: every outcome is unknown.
    pub fn lose_answers(&self, calls: usize) {
        self.state().answers_lost = calls;
    }

    /// Number of calls that began.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// Messages of each call.
    #[must_use]
    pub fn batches(&self) -> Vec<usize> {
        self.state().batches.clone()
    }

    /// While held, no call completes.
    pub fn hold(&self, hold: bool) {
        self.inner.open.send_replace(!hold);
    }
}

#[async_trait]
impl Publisher for Tape {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        self.state().calls += 1;
        let mut open = self.inner.open.subscribe();
        // The sender lives as long as `self`.
        drop(open.wait_for(|open| *open).await);
        let mut state = self.state();
        state.batches.push(messages.len());
        if state.away {
            return unanswered(messages);
        }
        let mut blocked = HashSet::new();
        let mut answers = Vec::new();
        for message in messages {
            let behind = message.key.is_some() && blocked.contains(&message.key);
            let refused = state.refused.contains(message.id.as_str());
            if behind && !(refused && state.by_itself) {
                answers.push(PublishOutcome::Unknown(Error::NotTried));
            } else if refused {
                state.refusals += 1;
                blocked.insert(message.key.clone());
                answers.push(PublishOutcome::Refused(Error::Refused(
                    "refused by the test".into(),
                )));
            } else {
                state.stored.push(message.clone());
                answers.push(PublishOutcome::Acknowledged);
            }
        }
        if state.answers_lost > 0 {
            state.answers_lost -= 1;
            return unanswered(messages);
        }
        answers
    }
}

fn unanswered(messages: &[Message]) -> Vec<PublishOutcome> {
    messages
        .iter()
        .map(|_| PublishOutcome::Unknown(Error::Unavailable("the tape is away".into())))
        .collect()
}
