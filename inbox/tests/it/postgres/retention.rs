//! Processed records draw their numbers before they are committed.

use std::time::{Duration, SystemTime};

use mainstay_inbox::{Inbox as _, conformance::Fixture as _, store::Retention as _};
use mainstay_messaging::{Partition, Position, broker::Delivery};

use super::{PostgresFixture, fixture, scene::delivery};
use crate::named::{group, message, topic};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn day(number: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + DAY * (20_000 + number)
}

fn read_at(key: &str, offset: i64) -> Delivery {
    let number = usize::try_from(offset).unwrap();
    delivery(message(key, number), offset)
}

type Transaction = mainstay_database::postgres::Transaction;

async fn open_with(f: &PostgresFixture, delivery: &Delivery) -> Transaction {
    let mut tx = f.database.begin().await.unwrap();
    let admission = f.inbox.admit(&mut tx, &group(), delivery).await.unwrap();
    assert!(admission.is_fresh());
    tx
}

async fn process(f: &PostgresFixture, delivery: &Delivery) {
    let tx = open_with(f, delivery).await;
    f.database.commit(tx).await.unwrap();
}

async fn checkpoint(f: &PostgresFixture, below: i64, at: SystemTime) {
    let partition = Partition {
        topic: topic(),
        number: 0,
    };
    let position = Position {
        partition,
        offset: below,
    };
    f.inbox
        .checkpoint(&group(), &[position], at, DAY / 2)
        .await
        .unwrap();
}

async fn prune(f: &PostgresFixture, horizon: SystemTime) -> u64 {
    let (mut cursor, mut deleted) = (Some(0), 0);
    while let Some(from) = cursor {
        let pruned = f.inbox.prune(&group(), horizon, from, 100).await.unwrap();
        deleted += pruned.deleted;
        cursor = pruned.next;
    }
    deleted
}

/// The log is recreated and starts again at 0 while its former offsets are still being recorded.
#[tokio::test]
async fn a_checkpoint_does_not_cover_a_record_that_is_committed_after_it() {
    let Some(f) = fixture().await else { return };
    // Both have numbers below the newest one at the checkpoint.
    let anew = open_with(&f, &read_at("anew", 0)).await;
    let never = open_with(&f, &read_at("never", 1)).await;
    process(&f, &read_at("old", 9)).await;
    checkpoint(&f, 10, day(1)).await;
    f.database.commit(anew).await.unwrap();
    never.rollback().await.unwrap();
    assert_eq!(prune(&f, day(100)).await, 0);
    assert_eq!(f.processed().await, 2);
    // The next one, of the new log: its uncommitted records stay.
    checkpoint(&f, 0, day(200)).await;
    assert_eq!(prune(&f, day(300)).await, 0);
    checkpoint(&f, 1, day(400)).await;
    assert_eq!(prune(&f, day(500)).await, 1);
    assert_eq!(f.processed().await, 1);
}

#[tokio::test]
async fn records_are_pruned_although_a_transaction_is_always_open() {
    let Some(f) = fixture().await else { return };
    for offset in 0..5 {
        process(&f, &read_at("a", offset)).await;
    }
    let mut writing = open_with(&f, &read_at("b", 10)).await;
    checkpoint(&f, 5, day(1)).await;
    assert_eq!(prune(&f, day(100)).await, 0);
    for (number, offset) in (101..).zip(11..14) {
        let next = open_with(&f, &read_at("b", offset)).await;
        f.database.commit(writing).await.unwrap();
        writing = next;
        checkpoint(&f, 5, day(number)).await;
    }
    assert_eq!(prune(&f, day(200)).await, 5);
    // Another process reads what was recorded.
    let other = super::inbox(&f.database).open().await.unwrap();
    for offset in 5..8 {
        process(&f, &read_at("a", offset)).await;
    }
    let position = Position {
        partition: Partition {
            topic: topic(),
            number: 0,
        },
        offset: 12,
    };
    other
        .checkpoint(&group(), &[position], day(300), DAY)
        .await
        .unwrap();
    assert!(
        prune(&f, day(400)).await >= 1,
        "offsets 10 and 11 were covered before"
    );
    f.database.commit(writing).await.unwrap();
}
