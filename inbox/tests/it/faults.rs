//! Faults of the database and the broker, on paused time.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mainstay_clock::{SeededIds, TokioClock};
use mainstay_database::memory::{CommitFault, Connection, Outcome};
use mainstay_inbox::{
    HandlerError, MemoryInbox, Received, Worker, WorkerHandle, conformance::Fixture as _,
};
use mainstay_messaging::{Message, Partition, Publisher as _, memory::LogConsumer};
use tokio::sync::Semaphore;

use crate::{
    memory::MemoryFixture,
    named::{Named, group, message, topic},
};

/// The handler writes its effect; on one message it waits for a permit then.
#[derive(Clone)]
struct Gate {
    before: &'static str,
    starts: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
}

impl Gate {
    fn before(name: &'static str) -> Self {
        Self {
            before: name,
            starts: Arc::default(),
            permits: Arc::new(Semaphore::new(0)),
        }
    }

    async fn is_reached(&self, times: usize) {
        while self.starts.load(Ordering::SeqCst) < times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn pass(
    connection: &mut Connection,
    received: Received<Named>,
    gate: Gate,
) -> Result<(), HandlerError> {
    let name = received.event.name;
    MemoryFixture::write(connection, &name).await?;
    if name == gate.before {
        gate.starts.fetch_add(1, Ordering::SeqCst);
        gate.permits.acquire().await.unwrap().forget();
    }
    Ok(())
}

type MemoryWorker = Worker<MemoryInbox, LogConsumer, Gate>;

struct Scene {
    clock: Arc<TokioClock>,
    fixture: MemoryFixture,
}

impl Scene {
    async fn with(messages: &[Message]) -> Self {
        let clock = Arc::new(TokioClock::default());
        let fixture = MemoryFixture::with(clock.clone(), Arc::new(SeededIds::new(1)));
        fixture.create_topic(&topic(), 1).await;
        for answer in fixture.publisher().publish(messages).await {
            assert!(answer.is_acknowledged());
        }
        Self { clock, fixture }
    }

    async fn start(&self, gate: &Gate) -> WorkerHandle {
        self.worker(gate).await.spawn()
    }

    async fn worker(&self, gate: &Gate) -> MemoryWorker {
        let consumer = self.fixture.consumer(&group(), &topic()).await;
        Worker::new(self.fixture.inbox(), consumer)
            .with_state(gate.clone())
            .on(pass)
            .clock(self.clock.clone())
            .ids(SeededIds::new(2))
            .handler_deadline(Duration::from_secs(3_600))
            .max_attempts(1)
    }

    async fn effects(&self, count: usize) -> Vec<String> {
        loop {
            let effects = self.fixture.effects().await;
            assert!(effects.len() <= count, "{effects:?}");
            if effects.len() == count {
                return effects;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn shows_an_error(&self, running: &WorkerHandle) {
        while running.status().last_error.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The group commits everything, and every effect is there once.
    async fn ends_well(&self, running: WorkerHandle, effects: &[&str]) {
        assert_eq!(self.effects(effects.len()).await, effects);
        while self
            .fixture
            .progress(&group())
            .await
            .iter()
            .any(|(_, committed, end)| committed < end)
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        running.shutdown().await.unwrap();
        assert_eq!(self.fixture.effects().await, effects);
    }
}

#[tokio::test(start_paused = true)]
async fn processed_records_decide_when_the_answer_to_a_commit_is_lost() {
    for outcome in [Outcome::Applied, Outcome::NotApplied, Outcome::AppliedLater] {
        let scene = Scene::with(&[message("a", 0), message("a", 1)]).await;
        let (gate, faults) = (Gate::before("a-1"), scene.fixture.database.faults());
        let running = scene.start(&gate).await;
        gate.is_reached(1).await;
        faults.commits_sometimes(1, CommitFault::Unknown(outcome));
        gate.permits.add_permits(10);
        scene.shows_an_error(&running).await;
        faults.clear();
        // The next attempt conflicts with the transaction that is still open, and waits for it.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let pending = faults.pending();
        assert_eq!(pending.is_empty(), outcome != Outcome::AppliedLater);
        for commit in pending {
            commit.apply();
        }
        scene.ends_well(running, &["a-0", "a-1"]).await;
        let starts = if outcome == Outcome::NotApplied { 2 } else { 1 };
        assert_eq!(gate.starts.load(Ordering::SeqCst), starts, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_waits_for_a_commit_that_may_still_be_applied() {
    let scene = Scene::with(&[message("a", 0)]).await;
    let (gate, faults) = (Gate::before("a-0"), scene.fixture.database.faults());
    let running = scene.start(&gate).await;
    gate.is_reached(1).await;
    faults.commits_sometimes(1, CommitFault::Unknown(Outcome::AppliedLater));
    gate.permits.add_permits(10);
    scene.shows_an_error(&running).await;
    faults.clear();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        gate.starts.load(Ordering::SeqCst),
        1,
        "the effect was made again while the first commit may still be applied"
    );
    for commit in faults.pending() {
        commit.discard();
    }
    scene.ends_well(running, &["a-0"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_database_counts_no_attempts() {
    let scene = Scene::with(&[message("a", 0), message("b", 0)]).await;
    scene.fixture.database.faults().set_down(true);
    let running = scene.start(&Gate::before("nothing")).await;
    scene.shows_an_error(&running).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(running.status().blocked_keys.is_empty());
    scene.fixture.database.faults().set_down(false);
    scene.effects(2).await;
    assert!(running.status().last_error.is_none());
    scene.ends_well(running, &["a-0", "b-0"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_waits_for_an_unavailable_broker() {
    let scene = Scene::with(&[message("a", 0)]).await;
    let faults = scene.fixture.broker.faults();
    faults.outage();
    let running = scene.start(&Gate::before("nothing")).await;
    scene.shows_an_error(&running).await;
    faults.heal();
    scene.ends_well(running, &["a-0"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_is_healthy_again_once_the_broker_recovers() {
    let scene = Scene::with(&[]).await;
    let running = scene.start(&Gate::before("nothing")).await;
    while running.status().partitions.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let faults = scene.fixture.broker.faults();
    faults.outage();
    scene.shows_an_error(&running).await;
    faults.heal();
    let healing = async {
        while !running.status().is_healthy() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), healing)
        .await
        .unwrap();
    scene.ends_well(running, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_waits_for_a_transaction_that_outlives_its_client() {
    let scene = Scene::with(&[message("a", 0), message("a", 1)]).await;
    let gate = Gate::before("a-1");
    let killed = scene.worker(&gate).await;
    let handle = killed.handle();
    let killed = tokio::spawn(killed.run_until(std::future::pending()));
    gate.is_reached(1).await;
    let faults = scene.fixture.database.faults();
    faults.linger(true);
    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());
    // Its handle shows it.
    handle.ended().await.unwrap();
    assert!(!handle.status().running);
    faults.linger(false);
    let successor = scene.start(&gate).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        gate.starts.load(Ordering::SeqCst),
        1,
        "started while another transaction may still commit"
    );
    gate.permits.add_permits(1);
    for transaction in faults.lingering() {
        transaction.end();
    }
    scene.ends_well(successor, &["a-0", "a-1"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_zombie_that_commits_first_leaves_its_successor_no_effect() {
    let scene = Scene::with(&[message("a", 0), message("a", 1)]).await;
    let gate = Gate::before("a-0");
    let zombie = scene.start(&gate).await;
    gate.is_reached(1).await;
    // It loses its partition without notice, in the middle of its handler.
    let successor = scene.start(&gate).await;
    let partition = Partition {
        topic: topic(),
        number: 0,
    };
    while successor.status().partitions.is_empty() {
        scene.fixture.broker.faults().expel(&group(), &partition);
        tokio::time::sleep(Duration::from_millis(1_600)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    gate.permits.add_permits(10);
    scene.effects(2).await;
    assert_eq!(gate.starts.load(Ordering::SeqCst), 1);
    zombie.shutdown().await.unwrap();
    scene.ends_well(successor, &["a-0", "a-1"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_outside_of_handlers_repeats_no_effect_and_is_survived() {
    let scene = Scene::with(&[message("a", 0), message("a", 1)]).await;
    let calls = AtomicUsize::new(0);
    let panics_twice = move || assert!(calls.fetch_add(1, Ordering::SeqCst) >= 2, "on purpose");
    let worker = scene.worker(&Gate::before("nothing")).await;
    let running = worker.batch_size(1).on_commit(panics_twice).spawn();
    scene.ends_well(running, &["a-0", "a-1"]).await;
}
