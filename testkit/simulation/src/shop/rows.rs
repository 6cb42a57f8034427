//! What the shop keeps in its database, and what it tells others.

use mainstay_database::memory::Record;
use mainstay_messaging::{
    Message,
    event::{Event, decode},
};
use mainstay_testkit::history::Entry;
use serde::{Deserialize, Serialize};

/// The event.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(super) struct Placed {
    /// What orders it; none = it leaves the order.
    pub(super) key: Option<String>,
    pub(super) number: i64,
    pub(super) id: String,
    pub(super) attempt: String,
    /// Messages are of different sizes.
    pub(super) note: String,
}

impl Event for Placed {
    const KIND: &'static str = "Placed";
    const VERSION: u32 = 1;
}

impl From<Placed> for Entry {
    fn from(placed: Placed) -> Self {
        Self {
            key: placed.key,
            number: placed.number,
            id: placed.id,
            attempt: placed.attempt,
        }
    }
}

/// What orders a message, if anything does.
pub(super) fn ordered_key(message: &Message) -> Option<String> {
    decode::<Placed>(message).ok()?.key
}

/// An aggregate: whoever writes under a key locks it first.
#[derive(Clone, Debug)]
pub(super) struct Aggregate {
    pub(super) key: usize,
    pub(super) version: i64,
}

/// An order.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) key: usize,
    pub(super) placed: Placed,
}

/// A wish that was fulfilled.
#[derive(Clone, Debug)]
pub(super) struct Fulfilled {
    pub(super) nth: usize,
}

/// How many effects a key has.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    pub(super) key: Option<String>,
    pub(super) count: i64,
}

/// The effect of an event.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) number: i64,
    pub(super) placed: Placed,
}

impl Record for Aggregate {
    const TABLE: &'static str = "aggregates";
    type Key = usize;
    fn key(&self) -> usize {
        self.key
    }
}

impl Record for Order {
    const TABLE: &'static str = "orders";
    type Key = (usize, i64);
    fn key(&self) -> (usize, i64) {
        (self.key, self.placed.number)
    }
}

impl Record for Fulfilled {
    const TABLE: &'static str = "fulfilled";
    type Key = usize;
    fn key(&self) -> usize {
        self.nth
    }
}

impl Record for Shelf {
    const TABLE: &'static str = "shelves";
    type Key = Option<String>;
    fn key(&self) -> Option<String> {
        self.key.clone()
    }
}

impl Record for Parcel {
    const TABLE: &'static str = "parcels";
    type Key = (Option<String>, i64);
    fn key(&self) -> (Option<String>, i64) {
        (self.placed.key.clone(), self.number)
    }
}
