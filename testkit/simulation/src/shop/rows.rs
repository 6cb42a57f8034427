//! Tables and events of the shop.

use mainstay_database::memory::Record;
use mainstay_history::Entry;
use mainstay_messaging::{
    Message,
    event::{Event, decode},
};
use serde::{Deserialize, Serialize};

/// The event.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(super) struct Placed {
    /// The key that orders it; `None` if it leaves the order.
    pub(super) key: Option<String>,
    pub(super) number: i64,
    pub(super) id: String,
    pub(super) attempt: String,
    /// Messages are of different sizes.
    pub(super) note: String,
}

impl Event for Placed {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Placed";
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

/// The key that orders a message, if any does.
pub(super) fn ordered_key(message: &Message) -> Option<String> {
    decode::<Placed>(message).ok()?.key
}

macro_rules! table {
    ($(#[$what:meta])* $row:ident { $($field:ident: $of:ty,)+ } in $table:literal by $key:ty: $by:expr) => {
        $(#[$what])*
        #[derive(Clone, Debug)]
        pub(super) struct $row {
            $(pub(super) $field: $of,)+
        }

        impl Record for $row {
            const TABLE: &'static str = $table;
            type Key = $key;
            fn key(&self) -> $key {
                let by: fn(&Self) -> $key = $by;
                by(self)
            }
        }
    };
}
pub(crate) use table;

table! {
    /// An aggregate: writers lock the row of their key first.
    Aggregate { key: usize, version: i64, } in "aggregates" by usize: |row| row.key
}
table! {
    /// An order.
    Order { key: usize, placed: Placed, } in "orders" by (usize, i64): |row| (row.key, row.placed.number)
}
table! {
    /// A wish that was fulfilled.
    Fulfilled { nth: usize, } in "fulfilled" by usize: |row| row.nth
}
table! {
    /// How many effects a key has.
    Shelf { key: Option<String>, count: i64, } in "shelves" by Option<String>: |row| row.key.clone()
}
table! {
    /// The effect of an event.
    Parcel { number: i64, placed: Placed, } in "parcels" by (Option<String>, i64): |row| (row.placed.key.clone(), row.number)
}
