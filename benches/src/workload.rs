//! What is sent: 256 bytes of payload, 10,000 keys drawn uniformly, or one hot key.

use std::fmt::Write as _;

use mainstay_clock::{IdGenerator as _, SeededIds};
use mainstay_messaging::{Message, Topic};

const PAYLOAD: usize = 256;
const KEYS: u64 = 10_000;

/// Which keys messages have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keys {
    /// One of 10,000, all equally likely.
    Uniform,
    /// All the same.
    Hot,
}

/// Makes messages; the same ones in every run, but for ids and times.
#[derive(Debug)]
pub struct Workload {
    draws: SeededIds,
    keys: Keys,
}

impl Workload {
    /// A workload with keys of its own choice.
    #[must_use]
    pub const fn new(keys: Keys) -> Self {
        Self {
            draws: SeededIds::new(7),
            keys,
        }
    }

    /// The one topic.
    #[must_use]
    pub fn topic() -> Topic {
        Topic::from_static("orders")
    }

    /// `count` new messages, as an application makes them.
    #[must_use]
    pub fn messages(&self, count: usize) -> Vec<Message> {
        (0..count).map(|_| self.message()).collect()
    }

    fn message(&self) -> Message {
        let key = match self.keys {
            Keys::Uniform => self.draws.random() % KEYS,
            Keys::Hot => 0,
        };
        // Text, so that the raw side can carry it in JSON.
        let mut payload = String::with_capacity(PAYLOAD);
        while payload.len() < PAYLOAD {
            // Writing to a String cannot fail.
            let _ = write!(payload, "{:016x}", self.draws.random());
        }
        let message = Message::builder()
            .source("/benches")
            .topic(Self::topic())
            .kind("OrderPlaced")
            .key(format!("order-{key}"))
            .payload(payload);
        message.build().unwrap()
    }
}
