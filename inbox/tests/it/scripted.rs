//! What only a consumer shows that says and does as it is told. Time is paused: nothing here waits for real.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use mainstay_clock::{Clock as _, SeededIds, TokioClock};
use mainstay_database::memory::{Connection, Database};
use mainstay_inbox::{HandlerError, Handlers, Received, Worker, memory::MemoryInbox};
use mainstay_messaging::{
    Assignment, Consumer, ConsumerEvent, Content, Delivery, Error, Flow, Partition, Position,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::named::{Named, group, message, topic};

type MemoryWorker = Worker<Database, MemoryInbox>;

/// Takes a millisecond.
async fn count(
    handled: Arc<Mutex<usize>>,
    _: &mut Connection,
    _: Received<Named>,
) -> Result<(), HandlerError> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    *handled.lock().unwrap() += 1;
    Ok(())
}

struct Running {
    handled: Arc<Mutex<usize>>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), mainstay_inbox::Error>>,
}

fn start(consumer: impl Consumer, set: impl FnOnce(MemoryWorker) -> MemoryWorker) -> Running {
    let (database, handled) = (Database::new(), Arc::default());
    let inbox = Arc::new(MemoryInbox::new(database.clone()));
    let handlers = Handlers::new().on::<Named, _, _>(Arc::clone(&handled), count);
    let worker = Worker::new(group(), Arc::new(database), inbox, handlers)
        .clock(Arc::new(TokioClock::default()))
        .ids(Arc::new(SeededIds::new(1)));
    let (worker, shutdown) = (set(worker), CancellationToken::new());
    let token = shutdown.clone();
    Running {
        handled,
        shutdown,
        task: tokio::spawn(async move { worker.run(consumer, token).await }),
    }
}

impl Running {
    async fn has_handled(&self, count: usize) {
        until(|| *self.handled.lock().unwrap() == count).await;
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
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

/// The messages `a-0`, `a-1` …, where they lie.
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

/// A partition that was lost and claimed again at one look of its member, which is told in two events.
#[derive(Clone, Default)]
struct ComesBack(Arc<Mutex<Flowing>>);

#[derive(Default)]
struct Flowing {
    told: usize,
    paused: bool,
}

impl ComesBack {
    fn state(&self) -> MutexGuard<'_, Flowing> {
        self.0.lock().unwrap()
    }
}

#[async_trait]
impl Consumer for ComesBack {
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

    fn flow(&mut self, _: &[Partition], flow: Flow) {
        self.state().paused = flow == Flow::Paused;
    }

    async fn release(&mut self, _: &[Partition]) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_comes_late_does_not_stop_the_next_assignment() {
    let consumer = ComesBack::default();
    let bound = 4.try_into().unwrap();
    let running = start(consumer.clone(), |worker| {
        worker.max_in_flight(bound, usize::MAX)
    });
    until(|| consumer.state().told > 4).await;
    running.has_handled(4).await;
    running.stop().await;
}

/// Commits take longer than the time between them, and its membership is renewed every `renewal` while it is polled.
#[derive(Clone)]
struct Slow {
    told: Arc<Mutex<usize>>,
    renewed: Arc<Mutex<Vec<Duration>>>,
    renewal: Duration,
    clock: Arc<TokioClock>,
}

#[async_trait]
impl Consumer for Slow {
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

    fn flow(&mut self, _: &[Partition], _: Flow) {}

    async fn release(&mut self, _: &[Partition]) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn slow_commits_leave_the_membership_its_time() {
    // The last of them takes longer than the whole time from commit to commit.
    for renewal in [5, 40, 300].map(Duration::from_millis) {
        let consumer = Slow {
            told: Arc::default(),
            renewed: Arc::default(),
            renewal,
            clock: Arc::new(TokioClock::default()),
        };
        let running = start(consumer.clone(), |worker| {
            worker.batch(1.try_into().unwrap())
        });
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
            "renewed every {renewal:?}, and yet not for {gap:?}"
        );
    }
}
