//! What commits guarantee.

use super::{
    ConsumerFixture, KEYS, assigned, behind, group, keyed, message, other_topic, read, topic,
};
use crate::{
    Error, StartAt,
    broker::{Consumer, Partition, Position},
};

pub async fn committed_records_are_not_delivered_again<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    f.append(&[message("a", 0), message("a", 1)]).await;
    let mut first = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let deliveries = read(&mut first, 2).await;
    first.commit(&behind(&deliveries)).await.unwrap();
    first
        .release(&[deliveries[0].position.partition.clone()])
        .await
        .unwrap();
    f.append(&[message("a", 2)]).await;
    let mut second = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(keyed(&read(&mut second, 1).await)["a"], [2]);
}

pub async fn uncommitted_records_are_delivered_to_the_next_holder<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    f.append(&[message("a", 0), message("a", 1)]).await;
    let mut killed = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let deliveries = read(&mut killed, 2).await;
    killed.commit(&behind(&deliveries[..1])).await.unwrap();
    drop(killed); // without a release: as a killed process does
    let mut successor = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(keyed(&read(&mut successor, 1).await)["a"], [1]);
}

pub async fn offsets_never_move_back<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    f.append(&[message("a", 0), message("a", 1), message("a", 2)])
        .await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let deliveries = read(&mut consumer, 3).await;
    consumer.commit(&behind(&deliveries[..2])).await.unwrap();
    consumer.commit(&behind(&deliveries[..1])).await.unwrap();
    drop(consumer);
    let mut successor = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(keyed(&read(&mut successor, 1).await)["a"], [2]);
}

pub async fn one_commit_stores_several_partitions<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 4).await;
    let round = |number| KEYS.map(|key| message(key, number));
    f.append(&round(0)).await;
    let mut first = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let deliveries = read(&mut first, KEYS.len()).await;
    let positions = behind(&deliveries);
    assert!(positions.len() > 1, "the keys lie in one partition");
    first.commit(&positions).await.unwrap();
    drop(first);
    f.append(&round(1)).await;
    let mut second = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let deliveries = keyed(&read(&mut second, KEYS.len()).await);
    assert!(
        deliveries.values().all(|numbers| *numbers == [1]),
        "{deliveries:?}"
    );
}

pub async fn a_commit_that_names_a_partition_twice_stores_the_highest<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let messages: Vec<_> = (0..4).map(|number| message("a", number)).collect();
    f.append(&messages).await;
    let mut first = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let deliveries = read(&mut first, 4).await;
    let positions: Vec<Position> = [1, 3, 2]
        .map(|count| behind(&deliveries[..count]).remove(0))
        .into();
    first.commit(&positions).await.unwrap();
    drop(first);
    let mut second = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(keyed(&read(&mut second, 1).await)["a"], [3]);
}

pub async fn a_commit_with_a_foreign_partition_stores_the_others<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    f.create_topic(&other_topic(), 1).await;
    f.append(&[message("a", 0), message("a", 1)]).await;
    let mut first = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let mut positions = behind(&read(&mut first, 2).await[..1]);
    let foreign = Position {
        partition: Partition {
            topic: other_topic(),
            number: 0,
        },
        offset: 1,
    };
    positions.insert(0, foreign.clone());
    match first.commit(&positions).await {
        Err(Error::NotAssigned(position)) => assert_eq!(position, foreign),
        other => panic!("{other:?}"),
    }
    drop(first);
    let mut second = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(keyed(&read(&mut second, 1).await)["a"], [1]);
}

pub async fn an_empty_commit_does_nothing<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assigned(&mut consumer).await;
    consumer.commit(&[]).await.unwrap();
}
