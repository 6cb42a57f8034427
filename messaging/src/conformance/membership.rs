//! What membership in a group guarantees.

use std::time::Duration;

use super::{
    ConsumerFixture, KEYS, PATIENCE, assigned, behind, group, keyed, message, next, other_topic,
    read, topic,
};
use crate::{
    Error, StartAt,
    broker::{Assignment, Consumer, ConsumerEvent, Delivery, Partition, Position},
};

pub async fn a_consumer_knows_its_group<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(*consumer.group(), group("g"));
}

pub async fn partitions_are_divided_and_revoked_before_they_go<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 4).await;
    let mut first = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let all = assigned(&mut first).await;
    assert_eq!(all.len(), 4);
    let mut second = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let mut held_by_first = all;
    let mut held_by_second = Vec::new();
    let dividing = async {
        while held_by_second.len() != 2 {
            tokio::select! {
                event = next(&mut first) => if let ConsumerEvent::Revoked { partitions, .. } = event {
                    held_by_first.retain(|p| !partitions.contains(p));
                    first.release(&partitions).await.unwrap();
                },
                event = next(&mut second) => if let ConsumerEvent::Assigned(more) = event {
                    for assignment in more {
                        assert!(!held_by_first.contains(&assignment.partition), "assigned before it was given back");
                        held_by_second.push(assignment.partition);
                    }
                },
            }
        }
    };
    tokio::time::timeout(PATIENCE, dividing).await.unwrap();
    assert_eq!(held_by_first.len(), 2);
}

pub async fn a_revoked_partition_may_be_committed_until_it_is_released<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    let messages: Vec<_> = ["a", "b", "c", "d", "e", "f"]
        .map(|key| message(key, 0))
        .into();
    f.append(&messages).await;
    let mut first = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let deliveries = read(&mut first, 6).await;
    let mut second = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let ends = behind(&deliveries);
    let moving = async {
        loop {
            tokio::select! {
                event = next(&mut first) => if let ConsumerEvent::Revoked { partitions, .. } = event {
                    let mut revoked = ends.clone();
                    revoked.retain(|end| partitions.contains(&end.partition));
                    first.commit(&revoked).await.unwrap();
                    first.release(&partitions).await.unwrap();
                },
                event = next(&mut second) => match event {
                    ConsumerEvent::Assigned(assigned) => {
                        // Which of them moves is the broker's choice.
                        for Assignment { partition, start } in assigned {
                            let start = Position { partition, offset: start };
                            assert!(ends.contains(&start), "{start:?} is none of {ends:?}");
                        }
                        break;
                    }
                    other => panic!("{other:?}"),
                },
            }
        }
    };
    tokio::time::timeout(PATIENCE, moving).await.unwrap();
}

pub async fn a_former_holder_cannot_commit<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    f.append(&[message("a", 0), message("a", 1)]).await;
    let mut former = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let deliveries = read(&mut former, 2).await;
    // The former owner stalls: its lease ends and the successor takes over.
    let mut successor = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(keyed(&read(&mut successor, 2).await)["a"], [0, 1]);
    let refused = former.commit(&behind(&deliveries)).await;
    assert!(matches!(refused, Err(Error::NotAssigned(_))), "{refused:?}");
    drop(successor);
    let mut third = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(
        keyed(&read(&mut third, 2).await)["a"],
        [0, 1],
        "the former owner moved the offset"
    );
}

pub async fn commits_before_a_loss_count<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    f.append(&[message("a", 0), message("a", 1)]).await;
    let mut stalled = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let deliveries = read(&mut stalled, 2).await;
    stalled.commit(&behind(&deliveries[..1])).await.unwrap();
    let mut successor = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(keyed(&read(&mut successor, 1).await)["a"], [1]);
}

pub async fn a_member_that_stalled_is_told_what_it_lost<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    f.append(&[message("a", 0)]).await;
    let mut stalled = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let held = assigned(&mut stalled).await;
    let mut successor = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(assigned(&mut successor).await, held);
    let waking = async {
        loop {
            match next(&mut stalled).await {
                ConsumerEvent::Lost(lost) => return lost,
                // Records that were on their way, and what it was asked for in vain.
                ConsumerEvent::Deliveries(_) | ConsumerEvent::Revoked { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, waking).await.unwrap(), held);
}

pub async fn polling_keeps_the_membership_while_everything_is_paused<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let mut first = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let held = assigned(&mut first).await;
    first.pause(&held);
    f.append(&[message("a", 0)]).await;
    let mut second = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    // Several leases long.
    let waiting = tokio::time::timeout(Duration::from_millis(3_500), async {
        tokio::select! {
            event = first.next() => panic!("{event:?}"),
            event = second.next() => panic!("{event:?}"),
        }
    });
    assert!(waiting.await.is_err());
    first.resume(&held);
    assert_eq!(read(&mut first, 1).await.len(), 1);
}

pub async fn pausing_a_partition_that_is_not_held_is_ignored<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    f.append(&[message("a", 0)]).await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let foreign = Partition {
        topic: other_topic(),
        number: 9,
    };
    consumer.pause(std::slice::from_ref(&foreign));
    consumer.release(&[foreign]).await.unwrap();
    assert_eq!(read(&mut consumer, 1).await.len(), 1);
}

pub async fn a_partition_that_comes_back_is_not_paused<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let mut first = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let held = assigned(&mut first).await;
    first.pause(&held);
    // It stalls; another member takes over, and leaves.
    let mut second = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(assigned(&mut second).await, held);
    second.release(&held).await.unwrap();
    f.append(&[message("a", 0)]).await;
    assert_eq!(read(&mut first, 1).await.len(), 1);
}

pub async fn a_revocation_without_an_answer_ends_in_a_loss<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    let mut first = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(assigned(&mut first).await.len(), 2);
    let mut second = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let (mut asked, mut lost, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    let moving = async {
        while moved.is_empty() || lost.is_empty() {
            tokio::select! {
                event = next(&mut first) => match event {
                    ConsumerEvent::Revoked { partitions, .. } => asked.extend(partitions),
                    ConsumerEvent::Lost(partitions) => lost.extend(partitions),
                    other => panic!("{other:?}"),
                },
                event = next(&mut second) => match event {
                    ConsumerEvent::Assigned(assigned) => moved.extend(assigned.into_iter().map(|a| a.partition)),
                    other => panic!("{other:?}"),
                },
            }
        }
    };
    tokio::time::timeout(PATIENCE, moving).await.unwrap();
    assert_eq!((&asked, asked.len()), (&lost, 1));
    assert_eq!(lost, moved);
}

pub async fn a_member_that_leaves_hands_everything_on<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 4).await;
    let mut first = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let all = assigned(&mut first).await;
    assert_eq!(all.len(), 4);
    first.release(&all).await.unwrap();
    let mut second = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(assigned(&mut second).await, all);
}

/// Otherwise nobody would read it until the membership changes.
pub async fn a_partition_that_was_released_unasked_is_announced_anew<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    let messages: Vec<_> = KEYS.map(|key| message(key, 0)).into();
    f.append(&messages).await;
    let mut consumer = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let held = assigned(&mut consumer).await;
    assert_eq!(held.len(), 2);
    let mut given_back = read(&mut consumer, KEYS.len()).await;
    given_back.retain(|delivery| delivery.position.partition == held[0]);
    assert!(!given_back.is_empty(), "the keys lie in one partition");
    consumer.commit(&behind(&given_back[..1])).await.unwrap();
    consumer.release(&held[..1]).await.unwrap();
    let (again, starts) = again(&mut consumer, given_back.len() - 1).await;
    assert_eq!(starts, behind(&given_back[..1]));
    assert_eq!(positions(&again), positions(&given_back[1..]));
}

/// A release that was on its way when the partition was lost must not strand the next assignment.
pub async fn a_release_from_before_a_loss_does_not_strand_the_partition<F: ConsumerFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    f.append(&[message("a", 0)]).await;
    let mut first = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    let held = assigned(&mut first).await;
    // It stalls; another member takes over, and leaves.
    let mut second = f.consumer(&group("g"), &[topic()], StartAt::Earliest).await;
    assert_eq!(assigned(&mut second).await, held);
    second.release(&held).await.unwrap();
    let losing = async {
        loop {
            match first.next().await.unwrap() {
                ConsumerEvent::Lost(lost) => return lost,
                // Records that were on their way.
                ConsumerEvent::Deliveries(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, losing).await.unwrap(), held);
    // The partition is free, or this member's again; this concerns what it held before.
    first.release(&held).await.unwrap();
    let (read, starts) = again(&mut first, 1).await;
    let partition = held.into_iter().next().unwrap();
    assert_eq!(
        starts,
        [Position {
            partition,
            offset: 0
        }]
    );
    assert_eq!(keyed(&read)["a"], [0]);
}

/// Polls until `count` records have come, and returns them with the assignments before them.
async fn again(consumer: &mut impl Consumer, count: usize) -> (Vec<Delivery>, Vec<Position>) {
    let (mut deliveries, mut starts) = (Vec::new(), Vec::new());
    let reading = async {
        while starts.is_empty() || deliveries.len() < count {
            match next(consumer).await {
                ConsumerEvent::Assigned(assigned) => {
                    starts.extend(assigned.into_iter().map(|a| Position {
                        partition: a.partition,
                        offset: a.start,
                    }));
                }
                ConsumerEvent::Deliveries(more) => deliveries.extend(more),
                other => panic!("{other:?}"),
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, reading).await;
    ended.unwrap_or_else(|_| panic!("a partition that was given back is stranded"));
    (deliveries, starts)
}

fn positions(deliveries: &[Delivery]) -> Vec<&Position> {
    deliveries.iter().map(|d| &d.position).collect()
}
