//! Everywhere, on the database in memory: before and after each call, and wherever a call waits, which each statement does.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use mainstay_clock::{SeededIds, TokioClock};
use mainstay_database::memory::{CommitFault, Database, Outcome};
use mainstay_messaging::{Group, Topic};
use mainstay_testkit::crash::{Points, Reached, at_every_point};

use super::{Service, Struck, scene::Scene};
use crate::memory::MemoryFixture;

#[async_trait]
impl Service for MemoryFixture {
    /// Whatever waits for it does so itself.
    async fn outlive(&self, _: &Group, _: &Topic) {}

    fn timed(&self, worker: Struck<Self>) -> Struck<Self> {
        worker
            .clock(Arc::new(TokioClock::default()))
            .ids(Arc::new(SeededIds::new(1)))
    }
}

/// What a dead worker has left to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Left {
    /// Nothing: its transactions were rolled back at once.
    Nothing,
    /// Its transactions, rolled back when its successor waits for them.
    Transactions,
    /// This commit, whose answer was lost; applied or not when its successor waits for it.
    Commit(u64, bool),
}

/// When the server ends what was left.
const LATE: Duration = Duration::from_secs(5);

struct Server {
    database: Database,
    left: Left,
    statements: Arc<AtomicUsize>,
    settled: AtomicUsize,
}

impl Server {
    fn new(database: Database, left: Left) -> Self {
        let statements: Arc<AtomicUsize> = Arc::default();
        let faults = database.faults();
        let count = Arc::clone(&statements);
        faults.when(move |_| {
            count.fetch_add(1, SeqCst);
            None
        });
        match left {
            Left::Nothing => {}
            Left::Transactions => faults.linger(true),
            Left::Commit(nth, _) => {
                faults.at_commit(nth, CommitFault::Unknown(Outcome::AppliedLater));
            }
        }
        Self {
            database,
            left,
            statements,
            settled: AtomicUsize::new(0),
        }
    }

    fn settle(&self) {
        let faults = self.database.faults();
        for lingering in faults.lingering() {
            lingering.end();
            self.settled.fetch_add(1, SeqCst);
        }
        for pending in faults.pending() {
            if let Left::Commit(_, true) = self.left {
                pending.apply();
            } else {
                pending.discard();
            }
            self.settled.fetch_add(1, SeqCst);
        }
    }

    /// Does `work`; what it waits for is settled after a while. Time stands still while anything can go on.
    async fn serves<T>(&self, work: impl Future<Output = T>) -> T {
        let settling = async {
            loop {
                tokio::time::sleep(LATE).await;
                self.settle();
            }
        };
        tokio::select! {
            biased;
            output = work => output,
            () = settling => unreachable!(),
        }
    }
}

/// Strikes a worker everywhere. Answers with the points, and how much was settled.
async fn work_everywhere(batch: usize, left: Left) -> (usize, usize) {
    let (least, settled) = (Cell::new(0), Cell::new(0));
    let what = format!("memory: worker, batches of {batch}, {left:?}");
    let points = at_every_point(&what, async |nth| {
        let service =
            MemoryFixture::with(Arc::new(TokioClock::default()), Arc::new(SeededIds::new(1)));
        let database = service.database.clone();
        let scene = Scene::published(Arc::new(service), "").await;
        let (server, points) = (Server::new(database, left), Points::anywhere(nth));
        let worked = server
            .serves(points.until_struck(scene.work(&points, batch)))
            .await;
        least.set(2 * points.calls().values().sum::<usize>() + server.statements.load(SeqCst));
        // Its tasks end when they have their turn.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        server.database.faults().clear();
        server.serves(scene.finish(batch)).await;
        // Nobody waits for the commit of a checkpoint.
        server.settle();
        server.serves(scene.finish(batch)).await;
        settled.set(settled.get() + server.settled.load(SeqCst));
        Reached::of(worked.as_ref())
    })
    .await;
    println!(
        "{what}: struck at {points} points, {} transactions left behind",
        settled.get()
    );
    // Each statement waits once before it begins, and so does each call: the last run came by so many.
    assert!(
        points + 20 >= least.get(),
        "{points} points of {}",
        least.get()
    );
    (points, settled.get())
}

#[tokio::test(start_paused = true)]
async fn a_worker_makes_every_effect_once_and_in_order_wherever_it_ends() {
    for batch in [1, 10] {
        work_everywhere(batch, Left::Nothing).await;
        let (_, left) = work_everywhere(batch, Left::Transactions).await;
        assert!(left > 0, "no transaction was left behind");
    }
}

/// Each commit of the run in turn.
async fn unknown_commits(batch: usize, applied: bool) {
    let mut nth = 1;
    while work_everywhere(batch, Left::Commit(nth, applied)).await.1 > 0 {
        nth += 1;
    }
    assert!(nth > 3, "only {} commits", nth - 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_commit_is_applied_unheard_makes_every_effect_once() {
    unknown_commits(10, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_commit_is_discarded_unheard_makes_every_effect_once() {
    unknown_commits(10, false).await;
}
