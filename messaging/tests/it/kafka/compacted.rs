//! Topics in which Kafka keeps the newest record of each key.

use mainstay_messaging::{
    Consumer as _, Topic,
    broker::Delivery,
    conformance::{ConsumerFixture as _, PublisherFixture as _},
};

use super::{
    fixture::{KafkaFixture, PATIENCE, message, read},
    real,
};

const OLD: usize = 10;

fn offsets(deliveries: &[Delivery]) -> Vec<i64> {
    deliveries.iter().map(|d| d.position.offset).collect()
}

/// Appends to the topic until the cleaner has been there, and returns the offsets that are left.
async fn until_compacted(f: &KafkaFixture, topic: &Topic) -> Vec<i64> {
    let compacting = async {
        for tick in 0.. {
            // The cleaner leaves the newest segment alone, which ends with an append.
            f.append(&[message("tick", tick)]).await;
            let left = offsets(&f.records(topic).await);
            if left[0] == i64::try_from(OLD - 1).unwrap() {
                return left;
            }
        }
        unreachable!()
    };
    tokio::time::timeout(PATIENCE, compacting).await.unwrap()
}

#[tokio::test]
async fn a_member_goes_on_behind_the_records_that_compaction_removed() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let topic = f.topic(1).await;
    let settings = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("segment.ms", "100"),
    ];
    f.configure(&topic, &settings).await;
    f.append(&(0..OLD).map(|n| message("a", n)).collect::<Vec<_>>())
        .await;
    let mut former = f.join(&topic).await;
    let deliveries = read(&mut former, OLD).await;
    // What follows is about to be removed.
    former
        .commit(&[deliveries[0].position.next()])
        .await
        .unwrap();
    drop(former);
    let left = until_compacted(&f, &topic).await;
    let newest = i64::try_from(OLD - 1).unwrap();
    assert_eq!(left[0], newest, "the newest of the key is kept: {left:?}");
    let mut successor = f.join(&topic).await;
    let mut deliveries = Vec::new();
    let end = *left.last().unwrap();
    while deliveries
        .last()
        .is_none_or(|d: &Delivery| d.position.offset < end)
    {
        deliveries.extend(read(&mut successor, 1).await);
    }
    let read = offsets(&deliveries);
    assert_eq!(read[0], newest);
    assert!(read.is_sorted(), "{read:?}");
    // Behind the last gap, the group has nothing left to read.
    successor
        .commit(&[deliveries.last().unwrap().position.next()])
        .await
        .unwrap();
    let progress = f.broker.progress(successor.group()).await.unwrap();
    assert_eq!((progress[0].1, progress[0].2), (end + 1, end + 1));
}
