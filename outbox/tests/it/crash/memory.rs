//! At every `await`, on the database in memory.
//!
//! There each statement, begin and commit suspends, and so does each call of a port. What a dead process leaves to the server
//! is settled in every way there is.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use mainstay_clock::{Clock, SeededIds, TokioClock};
use mainstay_database::{
    Transactions as _,
    memory::{CommitFault, Connection, Database, Inserted, Outcome, Record},
};
use mainstay_outbox::memory::{MemoryOutbox, Options};
use mainstay_testkit::crash::{Points, Reached, after_polls, at_every_point};

use super::{
    Broker, Shop, Struck, relay,
    relaying::Backlog,
    writing::{Order, Way},
};

/// How the server ends what a dead process has left to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Left {
    /// It notices at once: rolled back.
    Noticed,
    /// It notices before others come.
    NoticedSoon,
    /// It notices when others have come and wait.
    NoticedLate,
    /// The answer of this commit is lost; it is applied when others have come.
    AppliedLate(u64),
    /// As above, and it never is.
    DiscardedLate(u64),
    AppliedSoon(u64),
    DiscardedSoon(u64),
}

impl Left {
    const COMMITS: [fn(u64) -> Self; 4] = [
        Self::AppliedSoon,
        Self::DiscardedSoon,
        Self::AppliedLate,
        Self::DiscardedLate,
    ];
    const OPEN: [Self; 3] = [Self::Noticed, Self::NoticedSoon, Self::NoticedLate];

    const fn is_soon(self) -> bool {
        matches!(
            self,
            Self::NoticedSoon | Self::AppliedSoon(_) | Self::DiscardedSoon(_)
        )
    }

    const fn is_commit(self) -> bool {
        matches!(
            self,
            Self::AppliedSoon(_)
                | Self::AppliedLate(_)
                | Self::DiscardedSoon(_)
                | Self::DiscardedLate(_)
        )
    }

    const fn applies(self) -> bool {
        matches!(self, Self::AppliedSoon(_) | Self::AppliedLate(_))
    }
}

struct MemoryShop {
    clock: Arc<dyn Clock>,
    database: Database,
    left: Left,
    /// Statements that were begun.
    statements: Arc<AtomicUsize>,
    /// Commits and transactions that were settled.
    settled: AtomicUsize,
}

#[derive(Clone)]
struct Entered(String);

impl Record for Entered {
    const TABLE: &'static str = "entries";
    type Key = String;

    fn key(&self) -> String {
        self.0.clone()
    }
}

#[async_trait]
impl Shop for MemoryShop {
    type Database = Database;
    type Store = MemoryOutbox;

    async fn open(&self) -> (Arc<Database>, Arc<MemoryOutbox>) {
        let mut options = Options::default();
        options.shards = 2;
        let outbox = MemoryOutbox::open(self.database.clone(), options).await;
        (Arc::new(self.database.clone()), Arc::new(outbox.unwrap()))
    }

    async fn enter(
        connection: &mut Connection,
        entry: &str,
    ) -> Result<bool, mainstay_database::Error> {
        let row = Entered(entry.to_owned());
        Ok(connection.statement().await?.insert(row).await? == Inserted::New)
    }

    async fn has(&self, entry: &str) -> bool {
        let mut tx = self.database.begin().await.unwrap();
        let statement = tx.statement().await.unwrap();
        statement.get::<Entered>(&entry.to_owned()).is_some()
    }

    async fn rows(&self) -> usize {
        let (log, held) = self.open().await.1.rows().await.unwrap();
        log + held
    }

    const LEASE: Duration = Duration::from_secs(10);

    /// Whatever waits for it does so itself.
    async fn outlive(&self) {}

    fn timed(&self, relay: Struck<MemoryOutbox>) -> Struck<MemoryOutbox> {
        relay
            .clock(Arc::clone(&self.clock))
            .ids(Arc::new(SeededIds::new(1)))
    }
}

impl MemoryShop {
    async fn new(left: Left) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::default());
        let database = Database::with(Arc::clone(&clock), Arc::new(SeededIds::new(1)));
        let shop = Self {
            clock,
            database,
            left,
            statements: Arc::default(),
            settled: AtomicUsize::new(0),
        };
        shop.open().await;
        shop
    }

    /// From here on it is counted and struck.
    fn arm(&self) {
        let statements = Arc::clone(&self.statements);
        self.database.faults().when(move |_| {
            statements.fetch_add(1, SeqCst);
            None
        });
        let faults = self.database.faults();
        match self.left {
            Left::Noticed => {}
            Left::NoticedSoon | Left::NoticedLate => faults.linger(true),
            Left::AppliedSoon(nth)
            | Left::DiscardedSoon(nth)
            | Left::AppliedLate(nth)
            | Left::DiscardedLate(nth) => {
                faults.at_commit(nth, CommitFault::Unknown(Outcome::AppliedLater));
            }
        }
    }

    /// Whether something was left, settled or not.
    fn is_left_with_something(&self) -> bool {
        let faults = self.database.faults();
        let unfinished = faults.pending().len() + faults.lingering().len();
        unfinished + self.settled.load(SeqCst) > 0
    }

    /// The process is gone: nothing more is struck.
    fn disarm(&self) {
        self.database.faults().clear();
        if self.left.is_soon() {
            self.settle();
        }
    }

    fn settle(&self) {
        let faults = self.database.faults();
        for lingering in faults.lingering() {
            lingering.end();
            self.settled.fetch_add(1, SeqCst);
        }
        for pending in faults.pending() {
            if self.left.applies() {
                pending.apply();
            } else {
                pending.discard();
            }
            self.settled.fetch_add(1, SeqCst);
        }
    }

    /// Does `work`; what it waits for is settled after a while. Time stands still while anything can go on.
    async fn with_the_server<T>(&self, work: impl Future<Output = T>) -> T {
        let delay = if self.left.is_soon() {
            Duration::from_secs(1)
        } else {
            Self::LEASE + Duration::from_secs(5)
        };
        let settling = async {
            loop {
                tokio::time::sleep(delay).await;
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

/// What was tried.
#[derive(Default, Debug)]
struct Tried {
    /// Awaits at which a run was ended, and one run to the end.
    runs: usize,
    /// Transactions and commits that dead processes left behind.
    settled: usize,
}

impl Tried {
    fn add(&mut self, more: &Self) {
        self.runs += more.runs;
        self.settled += more.settled;
    }

    fn tell(&self, what: &str) {
        let Self { runs, settled } = self;
        println!("memory: {what}: struck at {runs} points, {settled} transactions left behind");
    }
}

/// Ends `run` at each of its awaits, each time in a world of its own, and has others go on.
async fn at_every_await(
    what: &str,
    left: Left,
    run: impl AsyncFn(&MemoryShop, &Arc<Points>, usize) -> Reached,
) -> Tried {
    let (skipped, settled, expected) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let points = at_every_point(&format!("{what}, {left:?}"), async |polls| {
        let (shop, points) = (MemoryShop::new(left).await, Points::none());
        let reached = run(&shop, &points, polls).await;
        let calls: usize = points.calls().values().sum();
        // Each call waits before it begins; so does each statement.
        expected.set(calls + shop.statements.load(SeqCst));
        settled.set(settled.get() + shop.settled.load(SeqCst));
        if reached == Reached::Point && left.is_commit() && shop.settled.load(SeqCst) == 0 {
            skipped.set(skipped.get() + 1);
        }
        reached
    })
    .await;
    assert!(
        points >= expected.get(),
        "{left:?}: {points} points are too few, there must be {}",
        expected.get()
    );
    Tried {
        runs: points + 1 - skipped.get(),
        settled: settled.get(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_enqueues_is_whole_or_nothing_wherever_it_ends() {
    for way in [Way::Single, Way::Batch, Way::Once] {
        let mut tried = Tried::default();
        for left in Left::OPEN
            .into_iter()
            .chain(Left::COMMITS.map(|left| left(1)))
        {
            let what = format!("enqueue {way:?}");
            let more = at_every_await(&what, left, async |shop, points, polls| {
                let order = Order::new(way, "order");
                let broker = Arc::new(Broker::default());
                shop.arm();
                let written = after_polls(polls, order.write(shop, points, 0));
                let written = shop.with_the_server(written).await;
                shop.disarm();
                let going_on = async {
                    if !left.is_commit() || left.is_soon() {
                        order.check(shop, &broker).await;
                    }
                    order.finish(shop, &broker).await;
                };
                shop.with_the_server(going_on).await;
                Reached::of(written.as_ref())
            })
            .await;
            assert!(more.settled > 0 || left == Left::Noticed, "{left:?}");
            tried.add(&more);
        }
        tried.tell(&format!("enqueue {way:?}"));
    }
}

async fn relay_at_every_await(left: Left) -> Tried {
    at_every_await("relay", left, async |shop, points, polls| {
        let backlog = Backlog::committed(shop, "").await;
        shop.arm();
        let relayed = after_polls(polls, relay(shop, points, &backlog.broker));
        let relayed = shop.with_the_server(relayed).await;
        if relayed.is_none() && left.is_commit() && !shop.is_left_with_something() {
            // The commit was not yet reached: as if it were sound.
            return Reached::Point;
        }
        shop.disarm();
        if let (Some(ended), Left::Noticed) = (&relayed, left) {
            ended.as_ref().unwrap();
            backlog.check_clean();
        }
        let certain = left.is_soon() || left == Left::Noticed;
        shop.with_the_server(backlog.finish(shop, certain)).await;
        Reached::of(relayed.as_ref())
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_relay_loses_and_reorders_nothing_wherever_it_ends() {
    let mut tried = Tried::default();
    for left in Left::OPEN {
        let more = relay_at_every_await(left).await;
        assert!(more.settled > 0 || left == Left::Noticed, "{left:?}");
        tried.add(&more);
    }
    tried.tell("relay");
}

/// Each commit of the run in turn.
async fn relay_with_unknown_commits(left: fn(u64) -> Left) {
    let (mut tried, mut commits) = (Tried::default(), 0);
    loop {
        let more = relay_at_every_await(left(commits + 1)).await;
        if more.settled == 0 {
            break;
        }
        tried.add(&more);
        commits += 1;
    }
    // The lease, a record of what was sent and of what was refused, and the shards given up.
    assert!(commits >= 4, "only {commits} commits");
    tried.tell(&format!("relay, its {commits} commits {:?}", left(0)));
}

#[tokio::test(start_paused = true)]
async fn a_relay_whose_commit_is_applied_unheard_loses_and_reorders_nothing() {
    relay_with_unknown_commits(Left::AppliedSoon).await;
}

#[tokio::test(start_paused = true)]
async fn a_relay_whose_commit_is_discarded_unheard_loses_and_reorders_nothing() {
    relay_with_unknown_commits(Left::DiscardedSoon).await;
}

#[tokio::test(start_paused = true)]
async fn a_relay_whose_commit_is_applied_behind_its_successor_loses_and_reorders_nothing() {
    relay_with_unknown_commits(Left::AppliedLate).await;
}

#[tokio::test(start_paused = true)]
async fn a_relay_whose_commit_is_discarded_behind_its_successor_loses_and_reorders_nothing() {
    relay_with_unknown_commits(Left::DiscardedLate).await;
}
