//! Workers on a database and a broker that fail at random, killed now and then: every effect once, each key in order.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mainstay_clock::{Backoff, IdGenerator, SeededIds, TokioClock};
use mainstay_database::memory::{CommitFault, Connection, Fault, Outcome};
use mainstay_inbox::{HandlerError, Handlers, Received, Worker, conformance::Fixture as _};
use mainstay_messaging::{Message, Publisher as _, memory::Chances};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    memory::MemoryFixture,
    named::{Named, group, message, topic},
};

const KEYS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
const PER_KEY: usize = 40;

/// Fails one time in eight, in every way a handler can.
async fn sometimes(
    ids: Arc<SeededIds>,
    connection: &mut Connection,
    received: Received<Named>,
) -> Result<(), HandlerError> {
    MemoryFixture::write(connection, &received.event.name).await?;
    let drawn = ids.random();
    tokio::time::sleep(Duration::from_millis(drawn % 7)).await;
    match (drawn >> 8) % 32 {
        0 => Err(HandlerError::retryable("drawn")),
        1 => Err(mainstay_database::Error::Conflict("drawn".into()).into()),
        2 => panic!("drawn"),
        3 => {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            Ok(())
        }
        _ => Ok(()),
    }
}

struct Node {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), mainstay_inbox::Error>>,
}

fn start(fixture: &MemoryFixture, clock: &Arc<TokioClock>, ids: &Arc<SeededIds>) -> Node {
    let handlers = Handlers::new().on::<Named, _, _>(Arc::clone(ids), sometimes);
    let size = |bound: u64| {
        usize::try_from(ids.random() % bound + 1)
            .unwrap()
            .try_into()
            .unwrap()
    };
    let database = Arc::new(fixture.database.clone());
    let worker = Worker::new(group(), database, fixture.inbox.clone(), handlers)
        .clock(clock.clone())
        .ids(ids.clone())
        .attempts(u32::MAX)
        .concurrency(size(4))
        .batch(size(20))
        .span_bound(size(60), usize::MAX)
        .drain(Duration::from_millis(200))
        .handler_deadline(Duration::from_millis(100))
        .backoff(Backoff::new(
            Duration::from_millis(5),
            Duration::from_millis(100),
        ));
    let (shutdown, consumer) = (
        CancellationToken::new(),
        fixture.consumer(&group(), &topic()),
    );
    let token = shutdown.clone();
    Node {
        shutdown,
        task: tokio::spawn(async move { worker.run(consumer, token).await }),
    }
}

async fn simulate(seed: u64) {
    let (clock, ids) = (
        Arc::new(TokioClock::default()),
        Arc::new(SeededIds::new(seed)),
    );
    let fixture = MemoryFixture::with(clock.clone(), ids.clone());
    fixture.create_topic(&topic(), 3).await;
    for number in 0..PER_KEY {
        let messages: Vec<Message> = KEYS.iter().map(|key| message(key, number)).collect();
        for copies in [&messages[..], &messages[..3]] {
            for answer in fixture.publisher().publish(copies).await {
                assert!(answer.is_acknowledged());
            }
        }
    }
    let mut chances = Chances::default();
    (chances.unavailable, chances.redeliver, chances.expel) = (20, 3, 3);
    fixture.broker.faults().at_random(chances);
    let faults = fixture.database.faults();
    for fault in [Fault::Serialization, Fault::LockTimeout, Fault::Unavailable] {
        faults.sometimes(300, fault);
    }
    faults.commits_sometimes(40, CommitFault::Serialization);
    faults.commits_sometimes(40, CommitFault::Unknown(Outcome::Applied));
    faults.commits_sometimes(40, CommitFault::Unknown(Outcome::NotApplied));

    let mut nodes: Vec<Node> = (0..2).map(|_| start(&fixture, &clock, &ids)).collect();
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(ids.random() % 900)).await;
        let drawn = ids.random();
        let node = nodes.swap_remove(usize::try_from(drawn % 2).unwrap());
        if drawn & 4 == 0 {
            node.task.abort();
        } else {
            node.shutdown.cancel();
        }
        nodes.push(start(&fixture, &clock, &ids));
    }
    faults.clear();
    fixture.broker.faults().heal();

    let expected = KEYS.len() * PER_KEY;
    let everything = async {
        loop {
            let progress = fixture.progress(&group()).await;
            if progress.len() == 3 && progress.iter().all(|(_, committed, end)| committed == end) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3_600), everything)
        .await
        .unwrap_or_else(|_| panic!("seed {seed}: not everything was handled"));
    let mut by_key: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for effect in fixture.effects().await {
        let (key, number) = effect.split_once('-').unwrap();
        by_key
            .entry(key.to_owned())
            .or_default()
            .push(number.parse().unwrap());
    }
    assert_eq!(
        by_key.values().map(Vec::len).sum::<usize>(),
        expected,
        "seed {seed}: effects"
    );
    for (key, numbers) in by_key {
        assert_eq!(
            numbers,
            (0..PER_KEY).collect::<Vec<_>>(),
            "seed {seed}: key {key}"
        );
    }
    for node in nodes {
        node.shutdown.cancel();
        node.task.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn every_effect_is_made_once_and_in_order_whatever_fails() {
    let seeds = std::env::var("MAINSTAY_SEEDS").map_or(0..10, |seeds| 0..seeds.parse().unwrap());
    for seed in seeds {
        simulate(seed).await;
    }
}
