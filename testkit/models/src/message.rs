//! Up to four messages of one key and one of another, and the two who work on them.

use std::fmt;

use enum_map::{Enum, EnumMap};

use crate::set::Set;

/// A message. Those of key `K` are numbered in the order of writers, or of the broker's log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Enum)]
pub(crate) enum Message {
    K1,
    K2,
    K3,
    K4,
    L1,
}

/// What messages are ordered by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Enum)]
pub(crate) enum Key {
    K,
    L,
}

use Message::{K1, K2, K3, K4, L1};

pub(crate) const KK: &[Message] = &[K1, K2];
pub(crate) const KKK: &[Message] = &[K1, K2, K3];
pub(crate) const KKL: &[Message] = &[K1, K2, L1];

impl Message {
    pub(crate) const fn key(self) -> Key {
        match self {
            K1 | K2 | K3 | K4 => Key::K,
            L1 => Key::L,
        }
    }
}

/// A set of messages.
pub(crate) type Messages = Set<Message>;

impl Messages {
    pub(crate) fn of_key(self, key: Key) -> Self {
        self.iter().filter(|m| m.key() == key).collect()
    }

    /// Whether a message of this one's key is in it.
    pub(crate) fn has_key_of(self, message: Message) -> bool {
        !self.of_key(message.key()).is_empty()
    }
}

/// Messages in some order, each once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Queue([Option<Message>; 5]);

impl Queue {
    pub(crate) fn iter(self) -> impl Iterator<Item = Message> {
        self.0.into_iter().flatten()
    }

    pub(crate) fn set(self) -> Messages {
        self.iter().collect()
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
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Something about each message.
pub(crate) type Each<T> = EnumMap<Message, T>;

/// Two of a kind: relays, workers or operators. Of the first two, one may be a former owner.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Enum)]
pub(crate) enum Name {
    #[default]
    A,
    B,
}

impl Name {
    pub(crate) const BOTH: [Self; 2] = [Self::A, Self::B];

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Something of both.
pub(crate) type Pair<T> = EnumMap<Name, T>;
