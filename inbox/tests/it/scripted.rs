//! Scripted consumers, on paused time.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use mainstay_clock::{Clock as _, SeededIds, TokioClock};
use mainstay_database::memory::{Connection, Database};
use mainstay_inbox::{HandlerError, MemoryInbox, Received, Worker, WorkerHandle};
use mainstay_messaging::{
    Consumer, Error, Group, Partition, Position,
    broker::{Assignment, ConsumerEvent, Content, Delivery},
};

use crate::named::{Named, group, message, topic};

type Handled = Arc<Mutex<usize>>;
type MemoryWorker<K> = Worker<MemoryInbox, K, Handled>;

/// Takes a millisecond.
async fn count(
    _: &mut Connection,
    _: Received<Named>,
    handled: Handled,
) -> Result<(), HandlerError> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    *handled.lock().unwrap() += 1;
    Ok(())
}

struct Running {
    handled: Handled,
    worker: WorkerHandle,
}

fn start<K: Consumer>(
    consumer: K,
    set: impl FnOnce(MemoryWorker<K>) -> MemoryWorker<K>,
) -> Running {
    let handled = Handled::default();
    let worker = Worker::new(MemoryInbox::new(Database::new()), consumer)
        .with_state(Arc::clone(&handled))
        .on(count)
        .clock(TokioClock::default())
        .ids(SeededIds::new(1));
    Running {
        handled,
        worker: set(worker).spawn(),
    }
}

impl Running {
    async fn has_handled(&self, count: usize) {
        until(|| *self.handled.lock().unwrap() == count).await;
    }

    async fn stop(self) {
        self.worker.shutdown().await.unwrap();
    }
}

async fn until(holds: impl Fn() -> bool + Send + Sync) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(600), waiting)
        .await
        .unwrap();
}

fn partition() -> Partition {
    Partition {
        topic: topic(),
        number: 0,
    }
}

fn assigned() -> ConsumerEvent {
    ConsumerEvent::Assigned(vec![Assignment {
        partition: partition(),
        start: 0,
    }])
}

/// The messages `a-0`, `a-1` … at offsets 0, 1 ….
fn deliveries(count: usize) -> ConsumerEvent {
    let delivery = |number: usize| Delivery {
        position: Position {
            partition: partition(),
            offset: i64::try_from(number).unwrap(),
        },
        content: Content::Message(message("a", number)),
    };
    ConsumerEvent::Deliveries((0..count).map(delivery).collect())
}

/// Loses its partition and gets it again, which it tells in two events.
#[derive(Clone)]
struct AssignedAgain {
    group: Group,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    told: usize,
    paused: bool,
}

impl AssignedAgain {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

#[async_trait]
impl Consumer for AssignedAgain {
    fn group(&self) -> &Group {
        &self.group
    }

    async fn next(&mut self) -> Result<ConsumerEvent, Error> {
        // Paused partitions deliver nothing.
        while self.state().told == 4 && self.state().paused {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let told = {
            let mut state = self.state();
            state.told += 1;
            state.paused &= state.told != 3;
            state.told
        };
        Ok(match told {
            1 | 4 => assigned(),
            2 | 5 => deliveries(4),
            3 => ConsumerEvent::Lost(vec![partition()]),
            _ => std::future::pending().await,
        })
    }

    async fn commit(&mut self, _: &[Position]) -> Result<(), Error> {
        Ok(())
    }

    fn pause(&mut self, _: &[Partition]) {
        self.state().paused = true;
    }

    fn resume(&mut self, _: &[Partition]) {
        self.state().paused = false;
    }

    async fn release(&mut self, _: &[Partition]) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_pause_does_not_hit_the_next_assignment() {
    let consumer = AssignedAgain {
        group: group(),
        state: Arc::default(),
    };
    let running = start(consumer.clone(), |worker| {
        worker.max_in_flight(4, usize::MAX)
    });
    until(|| consumer.state().told > 4).await;
    running.has_handled(4).await;
    running.stop().await;
}

/// Commits take longer than the commit interval. While it is polled, it renews its membership every
/// `renewal`.
#[derive(Clone)]
struct Slow {
    group: Group,
    told: Arc<Mutex<usize>>,
    renewed: Arc<Mutex<Vec<Duration>>>,
    renewal: Duration,
    clock: Arc<TokioClock>,
}

#[async_trait]
impl Consumer for Slow {
    fn group(&self) -> &Group {
        &self.group
    }

    async fn next(&mut self) -> Result<ConsumerEvent, Error> {
        let told = {
            let mut told = self.told.lock().unwrap();
            *told += 1;
            *told
        };
        match told {
            1 => return Ok(assigned()),
            2 => return Ok(deliveries(2_000)),
            _ => {}
        }
        loop {
            tokio::time::sleep(self.renewal).await;
            let since_start =
                Duration::from_micros(self.clock.monotonic().as_micros().unsigned_abs());
            self.renewed.lock().unwrap().push(since_start);
        }
    }

    async fn commit(&mut self, _: &[Position]) -> Result<(), Error> {
        tokio::time::sleep(Duration::from_millis(60)).await;
        Ok(())
    }

    fn pause(&mut self, _: &[Partition]) {}

    fn resume(&mut self, _: &[Partition]) {}

    async fn release(&mut self, _: &[Partition]) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn slow_commits_leave_time_to_renew_the_membership() {
    // The last one is longer than the time from commit to commit.
    for renewal in [5, 40, 300].map(Duration::from_millis) {
        let consumer = Slow {
            group: group(),
            told: Arc::default(),
            renewed: Arc::default(),
            renewal,
            clock: Arc::new(TokioClock::default()),
        };
        let running = start(consumer.clone(), |worker| worker.batch_size(1));
        running.has_handled(2_000).await;
        running.stop().await;
        let mut renewed = consumer.renewed.lock().unwrap().clone();
        renewed.insert(0, Duration::ZERO);
        let gap = renewed
            .windows(2)
            .map(|pair| pair[1].abs_diff(pair[0]))
            .max();
        assert!(
            gap.is_some_and(|gap| gap < Duration::from_secs(1)),
            "renewed every {renewal:?}, but not for {gap:?}"
        );
    }
}
