//! What the cases store: accounts.

use mainstay_messaging::event::{Json, UpcastError, Upcaster};
use serde::{Deserialize, Serialize};

use super::{Fixture, TransactionOf, begin, commit};
use crate::{Aggregate, Event, EventStore as _, Loaded, Snapshots, events};

#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(super) struct Opened {
    pub(super) owner: String,
}

impl Event for Opened {
    const TOPIC: &'static str = "accounts";
    const KIND: &'static str = "Opened";
}

/// At its third version: dollars, then cents, then a note.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(super) struct Moved {
    pub(super) cents: i64,
    pub(super) note: String,
}

impl Event for Moved {
    const TOPIC: &'static str = "accounts";
    const KIND: &'static str = "Moved";
    const VERSION: u32 = 3;
    const UPCASTERS: &'static [Upcaster] = &[in_cents, with_note];
}

fn in_cents(mut payload: Json) -> Result<Json, UpcastError> {
    let dollars: i64 = payload.take("dollars")?;
    payload.set("cents", &(100 * dollars))?;
    Ok(payload)
}

fn with_note(mut payload: Json) -> Result<Json, UpcastError> {
    payload.set("note", "of an older build")?;
    Ok(payload)
}

events! {
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub(super) enum AccountEvent { Opened, Moved }
}

#[derive(Serialize, Deserialize, Default, Clone, PartialEq, Eq, Debug)]
pub(super) struct Balance {
    pub(super) owner: String,
    pub(super) cents: i64,
    pub(super) notes: Vec<String>,
}

impl Balance {
    fn change(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened(opened) => self.owner.clone_from(&opened.owner),
            AccountEvent::Moved(moved) => {
                self.cents += moved.cents;
                self.notes.push(moved.note.clone());
            }
        }
    }
}

/// Aggregates of the same events and state, with streams and snapshots of their own.
macro_rules! aggregates {
    ($($(#[$doc:meta])* $name:ident = $stream:literal, $snapshots:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Serialize, Deserialize, Default, Clone, PartialEq, Eq, Debug)]
            pub(super) struct $name(pub(super) Balance);

            impl Aggregate for $name {
                const STREAM: &'static str = $stream;
                const SNAPSHOTS: Option<Snapshots<Self>> = $snapshots;
                type Event = AccountEvent;

                fn apply(&mut self, event: &AccountEvent) {
                    self.0.change(event);
                }
            }
        )*
    };
}

aggregates! {
    Account = "account", None;
    /// Its name begins with that of `Account`, and the next byte is below the separator.
    AccountLine = "account-line", None;
    /// The next byte is above the separator.
    Accounts = "accounts", None;
    Kept = "kept", Some(Snapshots::json(2).every(3));
    /// `Kept`, in a build before.
    KeptBefore = "kept", Some(Snapshots::json(1).every(3));
}

pub(super) fn opened(owner: &str) -> AccountEvent {
    let owner = owner.to_owned();
    Opened { owner }.into()
}

pub(super) fn moved(cents: i64) -> AccountEvent {
    let note = format!("moved {cents}");
    Moved { cents, note }.into()
}

/// Appends in a transaction of its own, and commits.
pub(super) async fn appended<F: Fixture, A: Aggregate<Event = AccountEvent>>(
    f: &F,
    id: &str,
    events: impl IntoIterator<Item = AccountEvent>,
) -> Loaded<A> {
    let mut tx = begin(f).await;
    let mut loaded = f.store().load::<A>(&mut tx, id).await.unwrap();
    let events: Vec<_> = events.into_iter().collect();
    let appending = f.store().append(&mut tx, id, &mut loaded, events).await;
    appending.unwrap();
    commit(f, tx).await;
    loaded
}

/// Loads in a transaction of its own.
pub(super) async fn loaded<F: Fixture, A: Aggregate>(f: &F, id: &str) -> Loaded<A> {
    let mut tx: TransactionOf<F> = begin(f).await;
    f.store().load(&mut tx, id).await.unwrap()
}
