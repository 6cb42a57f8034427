//! The messages that all models are about: up to four of one key, and one of another.

use std::{
    fmt,
    ops::{Index, IndexMut},
};

/// A message. Those of key `K` are numbered in the order in which they are written, or lie in the broker's log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Message {
    K1,
    K2,
    K3,
    K4,
    L1,
}

/// What messages are ordered by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Key {
    K,
    L,
}

use Message::{K1, K2, K3, K4, L1};

impl Message {
    pub(crate) const ALL: [Self; 5] = [K1, K2, K3, K4, L1];

    pub(crate) const fn key(self) -> Key {
        match self {
            K1 | K2 | K3 | K4 => Key::K,
            L1 => Key::L,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Messages(u8);

impl Messages {
    pub(crate) const NONE: Self = Self(0);

    /// Those of a list, whose order is forgotten.
    pub(crate) fn of(messages: impl IntoIterator<Item = Message>) -> Self {
        Self(messages.into_iter().fold(0, |set, m| set | m.bit()))
    }

    pub(crate) const fn contains(self, message: Message) -> bool {
        self.0 & message.bit() != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn insert(&mut self, message: Message) {
        self.0 |= message.bit();
    }

    pub(crate) const fn remove(&mut self, message: Message) {
        self.0 &= !message.bit();
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Message> {
        Message::ALL.into_iter().filter(move |m| self.contains(*m))
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.iter())
    }
}

/// Messages in some order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Queue([Option<Message>; 5]);

impl Queue {
    pub(crate) fn iter(self) -> impl Iterator<Item = Message> {
        self.0.into_iter().flatten()
    }

    pub(crate) fn first(self) -> Option<Message> {
        self.iter().next()
    }

    pub(crate) fn is_empty(self) -> bool {
        self.first().is_none()
    }

    pub(crate) fn contains(self, message: Message) -> bool {
        self.iter().any(|m| m == message)
    }

    /// Puts a message at the end, unless it is in it already.
    pub(crate) fn push(&mut self, message: Message) {
        if !self.contains(message)
            && let Some(free) = self.0.iter_mut().find(|place| place.is_none())
        {
            *free = Some(message);
        }
    }

    pub(crate) fn remove(&mut self, message: Message) {
        *self = self.iter().filter(|m| *m != message).collect();
    }
}

impl FromIterator<Message> for Queue {
    fn from_iter<I: IntoIterator<Item = Message>>(messages: I) -> Self {
        let mut queue = Self::default();
        for message in messages {
            queue.push(message);
        }
        queue
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.iter())
    }
}

/// Something about each message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Each<T>([T; 5]);

impl<T> Index<Message> for Each<T> {
    type Output = T;

    fn index(&self, message: Message) -> &T {
        &self.0[message as usize]
    }
}

impl<T> IndexMut<Message> for Each<T> {
    fn index_mut(&mut self, message: Message) -> &mut T {
        &mut self.0[message as usize]
    }
}

fn list(f: &mut fmt::Formatter<'_>, messages: impl Iterator<Item = Message>) -> fmt::Result {
    f.debug_list().entries(messages).finish()
}
