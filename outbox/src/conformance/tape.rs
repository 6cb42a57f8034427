//! A publisher that writes down what it is given and misbehaves on demand.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use mainstay_messaging::{Error, Message, PublishOutcome, Publisher};
use tokio::sync::watch;

/// A broker of one long tape.
#[derive(Debug)]
pub struct Tape {
    state: Mutex<State>,
    open: watch::Sender<bool>,
}

#[derive(Default, Debug)]
struct State {
    stored: Vec<Message>,
    refused: HashSet<String>,
    each_for_itself: bool,
    refusals: usize,
    away: bool,
    answers_lost: usize,
    batches: Vec<usize>,
    calls: usize,
}

impl Default for Tape {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            open: watch::channel(true).0,
        }
    }
}

impl Tape {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ids of what was stored, in order, duplicates too.
    pub fn ids(&self) -> Vec<String> {
        let stored = &self.state().stored;
        stored.iter().map(|m| m.id.to_string()).collect()
    }

    /// The same of one key.
    pub fn ids_of(&self, key: &str) -> Vec<String> {
        let of_key = |m: &&Message| m.key.as_ref().is_some_and(|k| k.as_str() == key);
        let stored = &self.state().stored;
        stored
            .iter()
            .filter(of_key)
            .map(|m| m.id.to_string())
            .collect()
    }

    /// What was stored, in order.
    pub fn stored(&self) -> Vec<Message> {
        self.state().stored.clone()
    }

    /// Refuses the message with this id for good, until [`accept`](Self::accept).
    pub fn refuse(&self, id: &str) {
        self.state().refused.insert(id.to_owned());
    }

    /// From now on refuses behind a refusal of the same key, too, as a broker does that looks at each message for itself.
    pub fn look_at_each_for_itself(&self) {
        self.state().each_for_itself = true;
    }

    /// Takes everything again.
    pub fn accept(&self) {
        self.state().refused.clear();
    }

    /// How often something was refused.
    pub fn refusals(&self) -> usize {
        self.state().refusals
    }

    /// Answers nothing but "unknown", and stores nothing.
    pub fn go_away(&self, away: bool) {
        self.state().away = away;
    }

    /// Stores the next calls' messages and answers "unknown".
    pub fn lose_answers(&self, calls: usize) {
        self.state().answers_lost = calls;
    }

    /// Calls that were begun.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// Messages per call.
    pub fn batches(&self) -> Vec<usize> {
        self.state().batches.clone()
    }

    /// Lets no call through until opened again.
    pub fn hold(&self, hold: bool) {
        self.open.send_replace(!hold);
    }
}

#[async_trait]
impl Publisher for Tape {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        self.state().calls += 1;
        let mut open = self.open.subscribe();
        // The sender lives as long as `self`.
        drop(open.wait_for(|open| *open).await);
        let mut state = self.state();
        state.batches.push(messages.len());
        if state.away {
            return unanswered(messages);
        }
        let mut stopped = HashSet::new();
        let mut answers = Vec::new();
        for message in messages {
            let behind = message.key.is_some() && stopped.contains(&message.key);
            let refused = state.refused.contains(message.id.as_str());
            if behind && !(refused && state.each_for_itself) {
                answers.push(PublishOutcome::Unknown(Error::NotTried));
            } else if refused {
                state.refusals += 1;
                stopped.insert(message.key.clone());
                answers.push(PublishOutcome::Refused(Error::Refused(
                    "not to the tape's taste".into(),
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
