//! The outbox in memory, and what only a database with concurrent writers shows.

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_database::{Transactions as _, memory::Database};
use mainstay_messaging::{Key, Kind, Message, MessageId, Source, Topic};
use mainstay_outbox::{
    Content, Error, Limit, Outbox as _, Outcome, RelayStore as _, ShardLease,
    conformance::Fixture,
    memory::{MemoryOutbox, Options},
};

struct MemoryFixture {
    database: Database,
    store: Arc<MemoryOutbox>,
}

async fn open(database: &Database, shards: u16) -> Result<MemoryOutbox, Error> {
    let mut options = Options::default();
    options.shards = shards;
    options.max_message_size = 10_000;
    MemoryOutbox::open(database.clone(), options).await
}

async fn fixture() -> MemoryFixture {
    let database = Database::new();
    let store = Arc::new(open(&database, 4).await.unwrap());
    MemoryFixture { database, store }
}

#[async_trait]
impl Fixture for MemoryFixture {
    type Database = Database;
    type Store = MemoryOutbox;

    fn database(&self) -> &Database {
        &self.database
    }

    fn store(&self) -> Arc<MemoryOutbox> {
        Arc::clone(&self.store)
    }

    async fn other_process(&self) -> Arc<MemoryOutbox> {
        Arc::new(open(&self.database, 4).await.unwrap())
    }

    async fn open_with_five_shards(&self) -> Result<(), Error> {
        open(&self.database, 5).await.map(drop)
    }

    async fn damage(&self, id: &str) {
        assert!(
            self.store
                .damage(&MessageId::new(id).unwrap())
                .await
                .unwrap()
        );
    }

    async fn rows(&self) -> (usize, usize) {
        self.store.rows().await.unwrap()
    }
}

mainstay_outbox::conformance!(fixture());

fn message(id: &'static str) -> Message {
    Message::with_id(
        MessageId::from_static(id),
        Source::from_static("/test"),
        Topic::from_static("orders"),
        Kind::from_static("Counted"),
    )
    .with_key(Key::from_static(id))
}

const ALL: Limit = Limit {
    messages: 1_000,
    bytes: usize::MAX,
};

async fn ids(store: &MemoryOutbox, leases: &[ShardLease]) -> Vec<String> {
    let fetched = store.fetch(leases, ALL).await.unwrap();
    let id = |row: mainstay_outbox::Row| match row.content {
        Content::Message(message) => message.id.to_string(),
        Content::Unreadable(reason) => panic!("{reason}"),
    };
    fetched.rows.into_iter().map(id).collect()
}

/// What "after the last position I saw" would lose.
#[tokio::test]
async fn a_gap_in_the_positions_that_fills_later_is_published() {
    let f = fixture().await;
    let leases = f
        .store
        .lease("relay", std::time::Duration::from_secs(60))
        .await
        .unwrap();
    let mut early = f.database.begin().await.unwrap();
    f.store
        .enqueue(&mut early, &message("early"))
        .await
        .unwrap();
    let mut late = f.database.begin().await.unwrap();
    f.store.enqueue(&mut late, &message("late")).await.unwrap();
    f.database.commit(late).await.unwrap();
    assert_eq!(ids(&f.store, &leases).await, ["late"]);
    let outcome = Outcome {
        acknowledged: f
            .store
            .fetch(&leases, ALL)
            .await
            .unwrap()
            .rows
            .iter()
            .map(|row| row.row_ref)
            .collect(),
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
    let old = f
        .store
        .lease("old", std::time::Duration::ZERO)
        .await
        .unwrap();
    let mut tx = f.database.begin().await.unwrap();
    f.store.enqueue(&mut tx, &message("a")).await.unwrap();
    f.database.commit(tx).await.unwrap();
    let place = f.store.fetch(&old, ALL).await.unwrap().rows[0].row_ref;
    let outcome = Outcome {
        acknowledged: vec![place],
        ..Outcome::default()
    };
    let (recorded, new) = tokio::join!(
        f.store.record(&old, &outcome),
        f.store.lease("new", std::time::Duration::from_secs(60))
    );
    let new = new.unwrap();
    match recorded {
        Ok(()) => assert!(ids(&f.store, &new).await.is_empty()),
        Err(Error::Fenced) => assert_eq!(ids(&f.store, &new).await, ["a"]),
        Err(error) => panic!("{error}"),
    }
}
