//! What only a database and a broker with faults on demand show. Time is paused: nothing here waits for real.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mainstay_clock::{SeededIds, TokioClock};
use mainstay_database::memory::{CommitFault, Connection, Database, Outcome};
use mainstay_inbox::{
    Error, HandlerError, Handlers, Received, Worker, conformance::Fixture as _, memory::MemoryInbox,
};
use mainstay_messaging::{Message, Partition, Publisher as _};
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    memory::MemoryFixture,
    named::{Named, group, message, topic},
};

/// Writes the effect; then waits at the gate, if the message is the one it stands before.
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
    gate: Gate,
    connection: &mut Connection,
    received: Received<Named>,
) -> Result<(), HandlerError> {
    let name = received.event.name;
    MemoryFixture::write(connection, &name).await?;
    if name == gate.before {
        gate.starts.fetch_add(1, Ordering::SeqCst);
        gate.permits.acquire().await.unwrap().forget();
    }
    Ok(())
}

type MemoryWorker = Worker<Database, MemoryInbox>;

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

    fn start(&self, gate: &Gate) -> Running {
        self.start_with(gate, |worker| worker)
    }

    fn start_with(&self, gate: &Gate, set: impl FnOnce(MemoryWorker) -> MemoryWorker) -> Running {
        let handlers = Handlers::new().on::<Named, _, _>(gate.clone(), pass);
        let (database, inbox) = (self.fixture.database.clone(), self.fixture.inbox.clone());
        let worker = Worker::new(group(), Arc::new(database), inbox, handlers)
            .clock(self.clock.clone())
            .ids(Arc::new(SeededIds::new(2)))
            .handler_deadline(Duration::from_secs(3_600))
            .attempts(1);
        let (worker, shutdown) = (Arc::new(set(worker)), CancellationToken::new());
        let consumer = self.fixture.consumer(&group(), &topic());
        let (this, token) = (Arc::clone(&worker), shutdown.clone());
        Running {
            worker,
            shutdown,
            task: tokio::spawn(async move { this.run(consumer, token).await }),
        }
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

    async fn is_impeded(&self, running: &Running) {
        while running.worker.status().last_error.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The group commits everything, and still every effect is there once.
    async fn ends_well(&self, running: Running, effects: &[&str]) {
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
        running.shutdown.cancel();
        running.task.await.unwrap().unwrap();
        assert_eq!(self.fixture.effects().await, effects);
    }
}

struct Running {
    worker: Arc<MemoryWorker>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

#[tokio::test(start_paused = true)]
async fn the_marks_decide_when_the_answer_to_a_commit_is_lost() {
    for outcome in [Outcome::Applied, Outcome::NotApplied, Outcome::AppliedLater] {
        let scene = Scene::with(&[message("a", 0), message("a", 1)]).await;
        let (gate, faults) = (Gate::before("a-1"), scene.fixture.database.faults());
        let running = scene.start(&gate);
        gate.is_reached(1).await;
        faults.commits_sometimes(1, CommitFault::Unknown(outcome));
        gate.permits.add_permits(10);
        scene.is_impeded(&running).await;
        faults.clear();
        // The next attempt meets the transaction that is still under way, and waits for it.
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
async fn a_commit_that_is_applied_later_or_never_is_waited_for() {
    let scene = Scene::with(&[message("a", 0)]).await;
    let (gate, faults) = (Gate::before("a-0"), scene.fixture.database.faults());
    let running = scene.start(&gate);
    gate.is_reached(1).await;
    faults.commits_sometimes(1, CommitFault::Unknown(Outcome::AppliedLater));
    gate.permits.add_permits(10);
    scene.is_impeded(&running).await;
    faults.clear();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        gate.starts.load(Ordering::SeqCst),
        1,
        "the effect was made again while the first may still come"
    );
    for commit in faults.pending() {
        commit.discard();
    }
    scene.ends_well(running, &["a-0"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_away_burns_no_attempts() {
    let scene = Scene::with(&[message("a", 0), message("b", 0)]).await;
    scene.fixture.database.faults().set_down(true);
    let running = scene.start(&Gate::before("nothing"));
    scene.is_impeded(&running).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(running.worker.status().stopped.is_empty());
    scene.fixture.database.faults().set_down(false);
    scene.effects(2).await;
    assert!(running.worker.status().last_error.is_none());
    scene.ends_well(running, &["a-0", "b-0"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_away_is_waited_for() {
    let scene = Scene::with(&[message("a", 0)]).await;
    let faults = scene.fixture.broker.faults();
    faults.outage();
    let running = scene.start(&Gate::before("nothing"));
    scene.is_impeded(&running).await;
    faults.heal();
    scene.ends_well(running, &["a-0"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_is_healthy_again_once_the_broker_answers() {
    let scene = Scene::with(&[]).await;
    let running = scene.start(&Gate::before("nothing"));
    while running.worker.status().partitions.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let faults = scene.fixture.broker.faults();
    faults.outage();
    scene.is_impeded(&running).await;
    faults.heal();
    let healing = async {
        while !running.worker.status().is_healthy() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), healing)
        .await
        .unwrap();
    scene.ends_well(running, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_outlived_its_client_is_waited_for() {
    let scene = Scene::with(&[message("a", 0), message("a", 1)]).await;
    let gate = Gate::before("a-1");
    let killed = scene.start(&gate);
    gate.is_reached(1).await;
    let faults = scene.fixture.database.faults();
    faults.linger(true);
    killed.task.abort();
    assert!(killed.task.await.unwrap_err().is_cancelled());
    faults.linger(false);
    let successor = scene.start(&gate);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        gate.starts.load(Ordering::SeqCst),
        1,
        "started beside a transaction that may still commit"
    );
    gate.permits.add_permits(1);
    for transaction in faults.lingering() {
        transaction.end();
    }
    scene.ends_well(successor, &["a-0", "a-1"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_zombie_that_commits_late_is_first_and_its_successor_makes_no_effect() {
    let scene = Scene::with(&[message("a", 0), message("a", 1)]).await;
    let gate = Gate::before("a-0");
    let zombie = scene.start(&gate);
    gate.is_reached(1).await;
    // Its partition goes without notice, in the middle of its handler.
    let successor = scene.start(&gate);
    let partition = Partition {
        topic: topic(),
        number: 0,
    };
    while successor.worker.status().partitions.is_empty() {
        scene.fixture.broker.faults().expel(&group(), &partition);
        tokio::time::sleep(Duration::from_millis(1_600)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    gate.permits.add_permits(10);
    scene.effects(2).await;
    assert_eq!(gate.starts.load(Ordering::SeqCst), 1);
    zombie.shutdown.cancel();
    zombie.task.await.unwrap().unwrap();
    scene.ends_well(successor, &["a-0", "a-1"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_outside_of_handlers_repeats_nothing_and_is_survived() {
    let scene = Scene::with(&[message("a", 0), message("a", 1)]).await;
    let calls = AtomicUsize::new(0);
    let panics_twice = move || assert!(calls.fetch_add(1, Ordering::SeqCst) >= 2, "on purpose");
    let running = scene.start_with(&Gate::before("nothing"), |worker| {
        worker
            .batch(1.try_into().unwrap())
            .on_commit(Arc::new(panics_twice))
    });
    scene.ends_well(running, &["a-0", "a-1"]).await;
}
