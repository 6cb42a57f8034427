//! The outbox in memory, and what only a database with concurrent writers shows.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::memory::{CommitFault, Database, Fault, Link};
use mainstay_messaging::{Message, MessageId};
use mainstay_outbox::{
    Error, Event, MemoryOutbox, Outbox as _, Relay,
    conformance::{Fixture, Tape},
    store::{Content, Fetched, Limit, Outcome, RelayStore, Row, RowRef, ShardLease},
};

struct MemoryFixture {
    database: Database,
    store: MemoryOutbox,
}

async fn open(database: &Database, shards: u16) -> Result<MemoryOutbox, Error> {
    MemoryOutbox::builder(database)
        .source("/suite")
        .shards(shards)
        .max_message_size(10_000)
        .open()
        .await
}

async fn fixture() -> MemoryFixture {
    let database = Database::new();
    let store = open(&database, 4).await.unwrap();
    MemoryFixture { database, store }
}

/// A link without faults, which makes a handle of its own.
#[derive(Debug)]
struct Direct;

#[async_trait]
impl Link for Direct {
    async fn begin(&self) -> bool {
        true
    }

    async fn statement(&self) -> Option<Fault> {
        None
    }

    async fn commit(&self) -> Option<CommitFault> {
        None
    }

    fn lingers(&self) -> bool {
        false
    }
}

#[async_trait]
impl Fixture for MemoryFixture {
    type Database = Database;
    type Store = MemoryOutbox;

    fn database(&self) -> &Database {
        &self.database
    }

    async fn foreign_database(&self) -> Database {
        self.database.through(Arc::new(Direct))
    }

    fn store(&self) -> MemoryOutbox {
        self.store.clone()
    }

    async fn other_process(&self) -> MemoryOutbox {
        open(&self.foreign_database().await, 4).await.unwrap()
    }

    async fn open_with_five_shards(&self) -> Result<(), Error> {
        open(&self.database, 5).await.map(drop)
    }

    async fn damage(&self, id: &str) {
        let id = MessageId::new(id).unwrap();
        assert!(self.store.damage(&id).await.unwrap());
    }

    async fn rows(&self) -> (usize, usize) {
        self.store.rows().await.unwrap()
    }
}

mainstay_outbox::conformance!(fixture());

fn message(id: &str) -> Message {
    let message = Message::builder().id(id).source("/test").topic("orders");
    message.kind("Counted").key(id).build().unwrap()
}

const ALL: Limit = Limit {
    messages: 1_000,
    bytes: usize::MAX,
};

const LEASE: Duration = Duration::from_secs(60);

async fn ids(store: &MemoryOutbox, leases: &[ShardLease]) -> Vec<String> {
    let fetched = store.fetch(leases, ALL, &[]).await.unwrap();
    let id = |row: Row| match row.content {
        Content::Message(message) => message.id.to_string(),
        Content::Unreadable(reason) => panic!("{reason}"),
    };
    fetched.rows.into_iter().map(id).collect()
}

/// Reading "after the last position seen" would lose it.
#[tokio::test]
async fn a_gap_in_the_positions_that_fills_later_is_published() {
    let f = fixture().await;
    let leases = f.store.lease("relay", LEASE).await.unwrap();
    let mut early = f.database.begin().await.unwrap();
    f.store
        .enqueue(&mut early, &message("early"))
        .await
        .unwrap();
    let mut late = f.database.begin().await.unwrap();
    f.store.enqueue(&mut late, &message("late")).await.unwrap();
    f.database.commit(late).await.unwrap();
    assert_eq!(ids(&f.store, &leases).await, ["late"]);
    let rows = f.store.fetch(&leases, ALL, &[]).await.unwrap().rows;
    let outcome = Outcome {
        acknowledged: rows.iter().map(|row| row.row_ref).collect(),
        ..Outcome::default()
    };
    f.store.record(&leases, &outcome).await.unwrap();
    f.database.commit(early).await.unwrap();
    assert_eq!(ids(&f.store, &leases).await, ["early"]);
}

/// A check that reads a snapshot would let both write.
#[tokio::test]
async fn a_takeover_waits_for_a_record_in_flight_or_fences_it() {
    let f = fixture().await;
    let old = f.store.lease("old", Duration::ZERO).await.unwrap();
    let mut tx = f.database.begin().await.unwrap();
    f.store.enqueue(&mut tx, &message("a")).await.unwrap();
    f.database.commit(tx).await.unwrap();
    let row_ref = f.store.fetch(&old, ALL, &[]).await.unwrap().rows[0].row_ref;
    let outcome = Outcome {
        acknowledged: vec![row_ref],
        ..Outcome::default()
    };
    let (recorded, new) = tokio::join!(f.store.record(&old, &outcome), f.store.lease("new", LEASE));
    let new = new.unwrap();
    match recorded {
        Ok(()) => assert!(ids(&f.store, &new).await.is_empty()),
        Err(Error::Fenced) => assert_eq!(ids(&f.store, &new).await, ["a"]),
        Err(error) => panic!("{error}"),
    }
}

/// An event without content.
#[derive(serde::Serialize, serde::Deserialize)]
struct Placed;

impl Event for Placed {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Placed";
}

#[tokio::test]
async fn an_outbox_without_a_source_says_how_to_set_one() {
    let database = Database::new();
    let outbox = MemoryOutbox::builder(&database).open().await.unwrap();
    let mut tx = database.begin().await.unwrap();
    let refused = outbox.emit(&mut tx, &Placed).await.unwrap_err();
    assert!(matches!(refused, Error::NoSource), "{refused:?}");
    assert!(refused.to_string().contains(".source(\"/orders\")"));
    let invalid = MemoryOutbox::builder(&database).source("").open().await;
    assert!(matches!(invalid, Err(Error::InvalidName(_))), "{invalid:?}");
}

/// A store that cannot be used.
struct Unusable;

#[async_trait]
impl RelayStore for Unusable {
    async fn lease(&self, _: &str, _: Duration) -> Result<Vec<ShardLease>, Error> {
        Err(Error::NoSource)
    }

    async fn fetch(&self, _: &[ShardLease], _: Limit, _: &[RowRef]) -> Result<Fetched, Error> {
        Err(Error::NoSource)
    }

    async fn record(&self, _: &[ShardLease], _: &Outcome) -> Result<(), Error> {
        Err(Error::NoSource)
    }

    async fn release(&self, _: &str) -> Result<(), Error> {
        Err(Error::NoSource)
    }
}

#[tokio::test]
async fn a_spawned_relay_returns_the_error_that_ended_it_once() {
    let relay = Relay::new(Unusable, Tape::default()).spawn();
    let ended = relay.ended().await;
    assert!(matches!(ended, Err(Error::NoSource)), "{ended:?}");
    relay.shutdown().await.unwrap();
}
