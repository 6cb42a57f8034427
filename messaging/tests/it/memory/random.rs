//! The contracts hold under random faults.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use mainstay_clock::SeededIds;
use mainstay_messaging::{
    Consumer, Error, Group, Message, Partition, Position, Publisher, Topic,
    broker::{ConsumerEvent, PublishOutcome},
    memory::{Broker, Chances, LogConsumer},
};
use proptest::prelude::*;

use super::{deliveries, message};

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// What the answers say about the log of one key: each number is there, or may be there.
#[derive(Debug, Clone, Copy)]
enum Expected {
    There(usize),
    Perhaps(usize),
}

/// Whether `log` is `expected` without some of its uncertain records.
fn agrees(expected: &[Expected], log: &[usize]) -> bool {
    // Set of lengths of the log that the expectations so far can have produced.
    let mut reached = vec![false; log.len() + 1];
    reached[0] = true;
    for one in expected {
        let (number, optional) = match *one {
            Expected::There(number) => (number, false),
            Expected::Perhaps(number) => (number, true),
        };
        for length in (0..=log.len()).rev() {
            let taken = length > 0 && reached[length - 1] && log[length - 1] == number;
            reached[length] = taken || (optional && reached[length]);
        }
    }
    reached[log.len()]
}

/// Publishes `count` messages per key as a relay does, again and again, and checks every answer.
async fn relay(
    broker: &Broker,
    count: usize,
    batch: usize,
) -> BTreeMap<&'static str, Vec<Expected>> {
    let publisher = broker.publisher();
    let mut expected: BTreeMap<_, _> = KEYS.map(|key| (key, Vec::new())).into();
    let mut waiting: BTreeMap<_, Vec<usize>> = KEYS.map(|key| (key, (0..count).collect())).into();
    while waiting.values().any(|numbers| !numbers.is_empty()) {
        let given: Vec<(&str, usize)> = (0..batch)
            .flat_map(|i| {
                waiting
                    .iter()
                    .filter_map(move |(key, left)| Some((*key, *left.get(i)?)))
            })
            .collect();
        let messages: Vec<Message> = given.iter().map(|(key, n)| message(key, *n)).collect();
        let answers = publisher.publish(&messages).await;
        assert_eq!(answers.len(), messages.len());
        let mut stopped: BTreeSet<&str> = BTreeSet::new();
        for ((key, number), answer) in given.into_iter().zip(answers) {
            let log = expected.get_mut(key).unwrap();
            let left = waiting.get_mut(key).unwrap();
            match answer {
                PublishOutcome::Acknowledged => {
                    assert!(!stopped.contains(key), "{key}-{number}: no prefix");
                    log.push(Expected::There(number));
                    left.retain(|n| *n != number);
                    continue;
                }
                // Not tried by its own words: it must not be there.
                PublishOutcome::Unknown(Error::NotTried) => assert!(stopped.contains(key)),
                PublishOutcome::Unknown(error) => {
                    assert!(error.is_retryable(), "{error}");
                    if !stopped.contains(key) {
                        log.push(Expected::Perhaps(number));
                    }
                }
                PublishOutcome::Refused(error) => {
                    assert!(!error.is_retryable(), "{error}");
                    left.retain(|n| *n != number);
                }
            }
            stopped.insert(key);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    expected
}

/// Reads as a worker does, and checks that each assignment delivers without a gap from where it
/// said.
async fn work(
    mut consumer: LogConsumer,
    commit_every: usize,
    seen: Arc<std::sync::Mutex<Vec<Position>>>,
) {
    let mut held: BTreeMap<Partition, i64> = BTreeMap::new();
    let mut since_commit = 0;
    loop {
        match consumer.next().await {
            Ok(ConsumerEvent::Assigned(assigned)) => {
                for assignment in assigned {
                    let double = held.insert(assignment.partition, assignment.start);
                    assert!(double.is_none(), "assigned twice");
                }
            }
            Ok(ConsumerEvent::Recovered) => {}
            Ok(ConsumerEvent::Lost(lost)) => {
                for partition in lost {
                    assert!(
                        held.remove(&partition).is_some(),
                        "{partition} was not held"
                    );
                }
            }
            Ok(ConsumerEvent::Revoked { partitions, .. }) => {
                if consumer.release(&partitions).await.is_ok() {
                    held.retain(|partition, _| !partitions.contains(partition));
                }
            }
            Ok(ConsumerEvent::Deliveries(deliveries)) => {
                since_commit += deliveries.len();
                for delivery in deliveries {
                    let next = held.get_mut(&delivery.position.partition).unwrap();
                    assert_eq!(*next, delivery.position.offset, "a gap or a step back");
                    *next += 1;
                    seen.lock().unwrap().push(delivery.position);
                }
                if since_commit >= commit_every {
                    since_commit = 0;
                    let positions: Vec<Position> = held
                        .iter()
                        .map(|(partition, offset)| Position {
                            partition: partition.clone(),
                            offset: *offset,
                        })
                        .collect();
                    match consumer.commit(&positions).await {
                        Ok(()) | Err(Error::Unavailable(_) | Error::NotAssigned(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn run(seed: u64, chances: Chances, batch: usize, commit_every: usize) {
    let broker = Broker::builder()
        .ids(SeededIds::new(seed))
        .lease(Duration::from_millis(300))
        .revocation_timeout(Duration::from_millis(200))
        .build();
    let topic = Topic::from_static("orders");
    broker.create_topic(&topic, 3).await.unwrap();
    broker.faults().at_random(chances);

    let group = Group::from_static("g");
    let delivered = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut workers = Vec::new();
    for _ in 0..3 {
        let consumer = broker.consumer(&group).subscribe([&topic]).await.unwrap();
        let work = work(consumer, commit_every, Arc::clone(&delivered));
        workers.push(tokio::spawn(work));
    }
    let expected = relay(&broker, 40, batch).await;
    broker.faults().heal();

    // The log is what the answers said, and everything in it reached the group.
    let mut auditor = broker.consumer("audit").subscribe([&topic]).await.unwrap();
    let mut log: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut positions = Vec::new();
    while let Ok(deliveries) =
        tokio::time::timeout(Duration::from_secs(1), deliveries(&mut auditor)).await
    {
        for delivery in deliveries {
            let number = super::number_of(&delivery);
            let mainstay_messaging::broker::Content::Message(message) = delivery.content else {
                unreachable!("number_of has looked");
            };
            log.entry(message.key.unwrap().to_string())
                .or_default()
                .push(number);
            positions.push(delivery.position);
        }
    }
    for (key, expected) in expected {
        let log = log.remove(key).unwrap_or_default();
        assert!(
            agrees(&expected, &log),
            "{key}: {expected:?} is not {log:?}"
        );
    }
    let everything = async {
        while !positions
            .iter()
            .all(|position| delivered.lock().unwrap().contains(position))
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), everything)
        .await
        .expect("something in the log never reached the group");
    for worker in workers {
        worker.abort();
        if let Err(error) = worker.await {
            assert!(error.is_cancelled(), "{error}");
        }
    }
}

fn chances() -> impl Strategy<Value = Chances> {
    (
        0..200u16,
        0..200u16,
        0..200u16,
        0..200u16,
        0..50u16,
        0..50u16,
    )
        .prop_map(
            |(refuse, lose_answer, lose_message, unavailable, redeliver, expel)| {
                let mut chances = Chances::default();
                chances.refuse = refuse;
                chances.lose_answer = lose_answer;
                chances.lose_message = lose_message;
                chances.unavailable = unavailable;
                chances.redeliver = redeliver;
                chances.expel = expel;
                chances
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn acknowledged_messages_form_a_prefix_and_everything_is_delivered_under_random_faults(
        seed in any::<u64>(), chances in chances(), batch in 1..12usize, commit_every in 1..30usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(seed, chances, batch, commit_every));
    }
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    let verdicts = |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let broker = Broker::builder().ids(SeededIds::new(seed)).build();
            broker.create_topic("orders", 3).await.unwrap();
            let mut chances = Chances::default();
            (chances.refuse, chances.lose_answer, chances.unavailable) = (100, 200, 100);
            broker.faults().at_random(chances);
            format!("{:?}", relay(&broker, 20, 3).await)
        })
    };
    assert_eq!(verdicts(1), verdicts(1));
    assert_ne!(verdicts(1), verdicts(2));
}
