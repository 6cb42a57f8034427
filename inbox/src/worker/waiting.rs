//! The messages of a batch that its transaction has not finished.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use mainstay_messaging::broker::Delivery;

use super::{
    lanes::LaneId,
    outcome::{Broken, Fault, Reason},
};
use crate::handlers::Decoded;

/// What was read from a record.
pub(super) type Read<C> = Result<Decoded<C>, Reason>;

/// One message of a batch.
pub(super) struct Entry<C> {
    /// Its place in the batch.
    pub(super) index: usize,
    /// The lane whose order it keeps.
    pub(super) lane: LaneId,
    pub(super) delivery: Arc<Delivery>,
    /// The largest chunk it may be part of; at 1 it is a chunk of its own.
    pub(super) at_most: usize,
    /// Taken by the handler; it is read once more if the message runs again.
    pub(super) event: Option<Read<C>>,
}

/// Messages in the order of their batch, from which the transaction takes chunks.
pub(super) struct Waiting<C> {
    entries: VecDeque<Entry<C>>,
    /// Places of messages that are not tried again in this transaction.
    left: BTreeSet<usize>,
}

impl<C> Waiting<C> {
    pub(super) fn new(entries: impl IntoIterator<Item = Entry<C>>) -> Self {
        Self {
            entries: entries.into_iter().collect(),
            left: BTreeSet::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Places of records that cannot be read.
    pub(super) fn unreadable(&self) -> Vec<usize> {
        let entries = self.entries.iter();
        let unreadable = entries.filter(|entry| matches!(entry.event, Some(Err(_))));
        unreadable.map(|entry| entry.index).collect()
    }

    /// Takes the next chunk: up to `limit` messages, fewer if one of them needs a smaller chunk.
    pub(super) fn chunk(&mut self, mut limit: usize) -> Vec<Entry<C>> {
        let mut count = 0;
        for entry in &self.entries {
            if count == limit || entry.at_most <= count {
                break;
            }
            limit = limit.min(entry.at_most);
            count += 1;
        }
        if count == self.entries.len() {
            std::mem::take(&mut self.entries).into()
        } else {
            self.entries.drain(..count).collect()
        }
    }

    /// Takes back a chunk that was undone. If a message is to blame, that one and the later ones
    /// of its lane are left out from now on.
    pub(super) fn take_back(&mut self, chunk: Vec<Entry<C>>, broken: Broken) -> Option<Fault> {
        for entry in chunk.into_iter().rev() {
            self.entries.push_front(entry);
        }
        match broken {
            Broken::By(fault) => {
                self.leave(fault.culprit);
                Some(fault)
            }
            Broken::Among(among, _) => {
                self.halve(&among.into_iter().collect());
                None
            }
        }
    }

    fn leave(&mut self, culprit: usize) {
        let culprit = self.entries.iter().find(|entry| entry.index == culprit);
        let Some((index, lane)) = culprit.map(|entry| (entry.index, entry.lane)) else {
            return;
        };
        let left = &mut self.left;
        self.entries.retain(|entry| {
            let stays = entry.lane != lane || entry.index < index;
            if !stays {
                left.insert(entry.index);
            }
            stays
        });
    }

    fn halve(&mut self, among: &BTreeSet<usize>) {
        let half = among.len().div_ceil(2);
        let entries = self.entries.iter_mut();
        for entry in entries.filter(|entry| among.contains(&entry.index)) {
            entry.at_most = entry.at_most.min(half);
        }
    }

    /// Places of the messages that the transaction does not finish.
    pub(super) fn into_left(mut self) -> BTreeSet<usize> {
        self.left
            .extend(self.entries.iter().map(|entry| entry.index));
        self.left
    }
}
