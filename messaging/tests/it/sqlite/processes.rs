//! Real processes on one file, killed in the middle.
//!
//! A child is this test binary again, with the test `child` alone and what it shall do in its
//! environment.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use mainstay_database::sqlite::Database;
use mainstay_messaging::{
    Consumer, Delivery, Group, Key, Partition, Position, Publisher, Topic,
    broker::ConsumerEvent,
    sqlite::{Broker, LogConsumer},
};

use super::{TOPIC, message};

const ROLE: &str = "MAINSTAY_TEST_CHILD";
const FILE: &str = "MAINSTAY_TEST_FILE";
const BATCH: usize = 7;
const PARTITIONS: u16 = 4;

async fn open(path: &Path) -> Broker {
    let database = Database::open(path).await.unwrap();
    Broker::builder_on(database)
        .lease(Duration::from_millis(600))
        .revocation_timeout(Duration::from_millis(300))
        .open()
        .await
        .unwrap()
}

async fn consumer(broker: &Broker, group: &'static str) -> LogConsumer {
    let topics = [Topic::from_static(TOPIC)];
    broker.consumer(group).subscribe(&topics).await.unwrap()
}

/// What a killed process runs. As a test of its own it does nothing.
#[tokio::test]
async fn child() {
    let (Ok(role), Ok(path)) = (std::env::var(ROLE), std::env::var(FILE)) else {
        return;
    };
    let broker = open(Path::new(&path)).await;
    let work = async {
        match role.split_once('-') {
            Some(("append", key)) => append_for_ever(&broker, key).await,
            Some(("consume", _)) => consume_for_ever(&broker).await,
            Some(("identify", _)) => say(&format!("this is log {}", broker.id())),
            _ => panic!("no such role: {role}"),
        }
    };
    // Its input ends when the parent does, however that ended.
    let orphaned = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    tokio::select! {
        () = work => {}
        _ = orphaned => {}
    }
}

/// Says each batch on its output after it was acknowledged. A number is never used again.
async fn append_for_ever(broker: &Broker, key: &str) {
    let publisher = broker.publisher();
    for first in (0..).step_by(BATCH) {
        let messages: Vec<_> = (first..first + BATCH)
            .map(|number| message(number).with_key(Key::new(key).unwrap()))
            .collect();
        for answer in publisher.publish(&messages).await {
            assert!(answer.is_acknowledged(), "{answer:?}");
        }
        say(&format!("acknowledged {key} {}", first + BATCH));
    }
}

/// Says each assignment and each commit.
async fn consume_for_ever(broker: &Broker) {
    let mut consumer = consumer(broker, "g").await;
    loop {
        match consumer.next().await.unwrap() {
            ConsumerEvent::Assigned(assigned) => {
                for assignment in assigned {
                    let number = assignment.partition.number;
                    say(&format!("assigned {number} {}", assignment.start));
                }
            }
            ConsumerEvent::Deliveries(deliveries) => {
                let ends = ends(&deliveries);
                if consumer.commit(&ends).await.is_ok() {
                    for end in ends {
                        say(&format!(
                            "committed {} {}",
                            end.partition.number, end.offset
                        ));
                    }
                }
            }
            ConsumerEvent::Revoked { partitions, .. } => {
                consumer.release(&partitions).await.unwrap();
            }
            // On a busy machine it may have been too slow.
            ConsumerEvent::Lost(_) | ConsumerEvent::Recovered => {}
        }
    }
}

fn ends(deliveries: &[Delivery]) -> Vec<Position> {
    let mut ends: BTreeMap<Partition, i64> = BTreeMap::new();
    for delivery in deliveries {
        ends.insert(
            delivery.position.partition.clone(),
            delivery.position.offset + 1,
        );
    }
    ends.into_iter()
        .map(|(partition, offset)| Position { partition, offset })
        .collect()
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// A child process; killed at the latest when it is dropped.
struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    fn start(role: &str, path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite::processes::child", "--nocapture"])
            .env(ROLE, role)
            .env(FILE, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            // Ends with the child's output, or once the receiver is dropped.
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// Reads its output until it says this, and gives what it says behind it.
    fn wait_for(&mut self, what: &str) -> String {
        loop {
            let line = self
                .lines
                .recv_timeout(Duration::from_secs(30))
                .expect(what);
            // The test runner's own words may stand before ours.
            if let Some((_, rest)) = line.split_once(what) {
                return rest.to_owned();
            }
        }
    }

    /// SIGKILL, then everything that it had said before.
    fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.iter().collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The first `count` records of the log, or more if they came with them.
async fn read(broker: &Broker, count: usize) -> Vec<Delivery> {
    let mut consumer = consumer(broker, "audit").await;
    let mut read = Vec::new();
    let reading = async {
        while read.len() < count {
            if let ConsumerEvent::Deliveries(deliveries) = consumer.next().await.unwrap() {
                read.extend(deliveries);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reading)
        .await
        .unwrap();
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_killed_processes_are_stored_once_and_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker.db");
    let broker = open(&path).await;
    let topic = Topic::from_static(TOPIC);
    broker.create_topic(&topic, PARTITIONS).await.unwrap();

    let mut acknowledged: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..4 {
        let keys = ["x", "y"].map(|name| format!("{name}{round}"));
        let mut children = keys
            .clone()
            .map(|key| Process::start(&format!("append-{key}"), &path));
        for child in &mut children {
            for _ in 0..=round * 3 {
                child.wait_for("acknowledged ");
            }
        }
        for (key, child) in keys.into_iter().zip(children) {
            let last = child.kill().iter().filter_map(|line| end_of(line)).max();
            acknowledged.insert(key, last.unwrap_or(BATCH));
        }
    }

    let total = broker_end(&broker).await;
    let deliveries = read(&broker, total).await;
    assert_eq!(deliveries.len(), total, "a record is there twice");
    let mut next: BTreeMap<Partition, i64> = BTreeMap::new();
    let mut numbers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for delivery in deliveries {
        let expected = next.entry(delivery.position.partition.clone()).or_default();
        assert_eq!(delivery.position.offset, *expected, "a gap");
        *expected += 1;
        let mainstay_messaging::broker::Content::Message(message) = delivery.content else {
            panic!("{delivery:?}");
        };
        let number = str::from_utf8(message.payload.as_deref().unwrap()).unwrap();
        let key = message.key.unwrap().to_string();
        numbers
            .entry(key)
            .or_default()
            .push(number.parse().unwrap());
    }
    for (key, acknowledged) in acknowledged {
        let stored = &numbers[&key];
        assert_eq!(*stored, (0..stored.len()).collect::<Vec<_>>(), "{key}");
        assert!(
            stored.len() >= acknowledged,
            "{key}: {acknowledged} were acknowledged"
        );
        assert_eq!(stored.len() % BATCH, 0, "{key}: half a batch");
    }
}

fn end_of(line: &str) -> Option<usize> {
    let (_, rest) = line.split_once("acknowledged ")?;
    rest.split_once(' ')?.1.parse().ok()
}

/// How many records the log has.
async fn broker_end(broker: &Broker) -> usize {
    let mut consumer = consumer(broker, "count").await;
    while !matches!(consumer.next().await.unwrap(), ConsumerEvent::Assigned(_)) {}
    let progress = broker.progress(&Group::from_static("count")).await.unwrap();
    let ends: i64 = progress.iter().map(|(_, _, next)| next).sum();
    usize::try_from(ends).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_partitions_of_a_killed_member_move_to_the_survivor() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker.db");
    let broker = open(&path).await;
    let topic = Topic::from_static(TOPIC);
    broker.create_topic(&topic, PARTITIONS).await.unwrap();
    let publisher = broker.publisher();
    let publish = async |numbers: std::ops::Range<usize>| {
        let messages: Vec<_> = numbers
            .map(|number| message(number).with_key(Key::new(number.to_string()).unwrap()))
            .collect();
        for answer in publisher.publish(&messages).await {
            assert!(answer.is_acknowledged(), "{answer:?}");
        }
    };

    let mut killed = Process::start("consume-1", &path);
    for _ in 0..PARTITIONS {
        killed.wait_for("assigned ");
    }
    let mut survivor = Process::start("consume-2", &path);
    for _ in 0..PARTITIONS / 2 {
        survivor.wait_for("assigned ");
    }
    publish(0..200).await;
    killed.wait_for("committed ");
    publish(200..400).await;
    let mut committed: BTreeMap<i32, i64> = BTreeMap::new();
    for line in killed.kill() {
        if let Some((_, rest)) = line.split_once("committed ") {
            let (partition, offset) = rest.split_once(' ').unwrap();
            committed.insert(partition.parse().unwrap(), offset.parse().unwrap());
        }
    }
    publish(400..600).await;

    // The survivor says so of the other half, and goes on where the killed one's commits ended.
    for _ in 0..PARTITIONS / 2 {
        let assigned = survivor.wait_for("assigned ");
        let (partition, start) = assigned.split_once(' ').unwrap();
        let (partition, start): (i32, i64) = (partition.parse().unwrap(), start.parse().unwrap());
        let said = committed.get(&partition).copied().unwrap_or_default();
        assert!(
            start >= said,
            "partition {partition} starts at {start}, {said} was committed"
        );
    }
    let finished = async {
        loop {
            let progress = broker.progress(&Group::from_static("g")).await.unwrap();
            if progress
                .iter()
                .all(|(_, committed, next)| committed == next)
            {
                return progress
                    .iter()
                    .map(|(_, committed, _)| committed)
                    .sum::<i64>();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let total = tokio::time::timeout(Duration::from_secs(60), finished).await;
    assert_eq!(total.unwrap(), 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_open_a_new_log_at_once_agree_on_its_id() {
    for _ in 0..4 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("broker.db");
        let mut children =
            ["1", "2", "3", "4"].map(|name| Process::start(&format!("identify-{name}"), &path));
        let ids = children
            .each_mut()
            .map(|child| child.wait_for("this is log "));
        let id = open(&path).await.id().to_string();
        assert!(ids.iter().all(|other| *other == id), "{id}: {ids:?}");
    }
}
