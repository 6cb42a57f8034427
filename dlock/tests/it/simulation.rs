//! A register that is written under a lock by hosts that stand still, die and are cut off; the lock in a Redis whose answers are
//! lost, and that restarts empty. Everything follows from a seed.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use mainstay_clock::{Clock as _, TokioClock};
use mainstay_database::memory::{CommitFault, Database, Fault as Struck, Link, Outcome, Record};
use mainstay_dlock::{
    Error, FencingToken, Guard, Locks, MemoryFences, MemoryLeases,
    store::{Acquired, Claim, Holding, LeaseStore},
};
use mainstay_simulation::{Act, CallFault, Fault, Plan, Port, Process, Reach, Rng, Sim};
use mainstay_testkit::register::{Write, violations};

const HOSTS: [&str; 3] = ["a", "b", "c"];
const LEASE: Duration = Duration::from_secs(2);
const RUN: Duration = Duration::from_secs(40);
/// What comes after the faults.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
struct Register(u64);

impl Record for Register {
    const TABLE: &'static str = "register";
    type Key = ();

    fn key(&self) {}
}

/// What all hosts share, and who looks on.
struct World {
    clock: TokioClock,
    /// Replaced when Redis restarts.
    redis: Mutex<Database>,
    is_fenced: bool,
    /// Whether Redis keeps its data, so that nobody polls beside the newest holder.
    keeps_data: bool,
    newest: Mutex<FencingToken>,
    writes: Mutex<BTreeMap<u64, Write>>,
    seen: Mutex<Seen>,
}

/// What shows that a run was not vacuous.
#[derive(Clone, Default, Debug)]
struct Seen {
    grants: usize,
    lost: usize,
    fenced: usize,
    regressed: usize,
    unknown: usize,
}

impl World {
    fn redis(&self) -> Database {
        let redis = self.redis.lock().unwrap();
        redis.clone()
    }

    fn restart_redis(&self) {
        let empty = Database::builder().clock(self.clock.clone()).build();
        *self.redis.lock().unwrap() = empty;
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.clock.monotonic().as_micros().unsigned_abs())
    }

    fn granted(&self, token: FencingToken) {
        let (mut newest, mut seen) = (self.newest.lock().unwrap(), self.seen.lock().unwrap());
        seen.grants += 1;
        seen.regressed += usize::from(token <= *newest);
        assert!(
            token > *newest || !self.keeps_data,
            "{token} after {newest}"
        );
        *newest = token.max(*newest);
    }

    /// Polls only while nobody newer has the lock.
    async fn watched<F: Future>(&self, guard: &Guard, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            let newest = *self.newest.lock().unwrap();
            let is_newest = guard.token() == newest;
            assert!(
                is_newest || !self.keeps_data,
                "{} after {newest}",
                guard.token()
            );
            work.as_mut().poll(context)
        })
        .await
    }
}

/// The way of a host to Redis, where nothing stays open and nothing is decided later.
#[derive(Debug)]
struct ToRedis(Process);

#[async_trait]
impl Link for ToRedis {
    async fn begin(&self) -> bool {
        self.0.begin().await
    }

    async fn statement(&self) -> Option<Struck> {
        self.0.statement().await
    }

    async fn commit(&self) -> Option<CommitFault> {
        match self.0.commit().await {
            Some(CommitFault::Unknown(Outcome::AppliedLater)) => {
                Some(CommitFault::Unknown(Outcome::Applied))
            }
            fault => fault,
        }
    }

    fn lingers(&self) -> bool {
        false
    }
}

/// The leases in whichever Redis there is.
struct InRedis {
    world: Arc<World>,
    process: Process,
}

impl InRedis {
    async fn leases(&self) -> Result<MemoryLeases, Error> {
        let link = Arc::new(ToRedis(self.process.clone()));
        let redis = self.world.redis().through(link);
        MemoryLeases::builder(redis).open().await
    }
}

#[async_trait]
impl LeaseStore for InRedis {
    async fn acquire(&self, claim: Claim<'_>) -> Result<Acquired, Error> {
        self.leases().await?.acquire(claim).await
    }

    async fn renew(&self, held: &[Holding<'_>], lease: Duration) -> Result<Vec<bool>, Error> {
        self.leases().await?.renew(held, lease).await
    }

    async fn release(&self, held: Holding<'_>) -> Result<(), Error> {
        self.leases().await?.release(held).await
    }
}

/// One host: takes the lock, writes for a while, gives it back.
async fn write_under_lock(process: Process, world: Arc<World>) -> Result<(), Error> {
    let store = InRedis {
        world: Arc::clone(&world),
        process: process.clone(),
    };
    let locks = Locks::builder(store)
        .lease(LEASE)
        .poll_interval(Duration::from_millis(200))
        .clock(process.clock())
        .ids(process.ids())
        .build();
    let database = process.database();
    let fences = MemoryFences::builder(&database).open().await?;
    for term in 0.. {
        let Ok(guard) = locks.acquire("register", RUN).await else {
            continue;
        };
        world.granted(guard.token());
        let rng = Rng::new(process.life(), &format!("{} {term}", process.name()));
        let work = async {
            for _ in 0..4 {
                match write(&process, &world, &guard, &database, &fences, &rng).await {
                    Err(Error::Fenced { .. }) => {
                        world.seen.lock().unwrap().fenced += 1;
                        break;
                    }
                    Err(error) if error.is_retryable() => {}
                    written => return written,
                }
            }
            Ok(())
        };
        match guard.run(world.watched(&guard, work)).await {
            Ok(worked) => worked?,
            Err(_lost) => world.seen.lock().unwrap().lost += 1,
        }
        if rng.one_in(2) {
            drop(guard.release().await);
        } else {
            drop(guard);
        }
        tokio::time::sleep(rng.within(LEASE)).await;
    }
    Ok(())
}

async fn write(
    process: &Process,
    world: &World,
    guard: &Guard,
    database: &Database,
    fences: &MemoryFences,
    rng: &Rng,
) -> Result<(), Error> {
    let began = world.now();
    let mut tx = database.begin().await?;
    if world.is_fenced {
        guard.check(fences, &mut tx).await?;
    }
    let found = tx.statement().await?.get::<Register>(&());
    let found = found.map_or(0, |register| register.0);
    tokio::time::sleep(rng.within(LEASE / 2)).await;
    let left = u64::try_from(world.writes.lock().unwrap().len() + 1).unwrap();
    // Nobody hears of it, until its client does.
    let write = Write {
        client: process.name().to_owned(),
        began,
        ended: None,
        found,
        left,
    };
    world.writes.lock().unwrap().insert(left, write);
    let put = |register: &mut Register| {
        register.0 = left;
        true
    };
    tx.statement().await?.update(&(), put).await?;
    match database.commit(tx).await {
        Ok(()) => {
            let ended = Some(world.now());
            let mut writes = world.writes.lock().unwrap();
            writes.entry(left).and_modify(|write| write.ended = ended);
        }
        Err(mainstay_database::Error::OutcomeUnknown(_)) => {
            world.seen.lock().unwrap().unknown += 1;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Faults of a run, and when Redis restarts.
fn drawn(seed: u64, restarts: bool) -> (Plan, Vec<Duration>) {
    let rng = Rng::new(seed, "plan of a register");
    let host = || rng.one(&HOSTS).unwrap_or("a").into();
    let mut faults = Vec::new();
    for _ in 0..rng.below(12) {
        let time = rng.within(RUN);
        let act = match rng.below(6) {
            0..=2 => Act::Pause(host(), LEASE / 2 + rng.millis(8_000)),
            3 => Act::Kill(host(), rng.millis(4_000)),
            4 => Act::Cut(host(), Reach::Database, rng.millis(6_000)),
            _ => Act::Linger(rng.millis(3_000)),
        };
        faults.push(Fault::At(time, act));
    }
    for _ in 0..rng.below(20) {
        let port = rng.one(&[Port::Begin, Port::Statement, Port::Commit]);
        let port = port.unwrap_or(Port::Commit);
        let fault = match (port, rng.below(4)) {
            (Port::Commit, 0) => CallFault::AnswerLost,
            (Port::Commit, 1) => CallFault::AppliedLater(rng.millis(5_000)),
            (_, 2) => CallFault::Stall(rng.millis(5_000)),
            _ => CallFault::Lost,
        };
        faults.push(Fault::Call {
            host: host(),
            port,
            call: 1 + rng.below(200),
            fault,
        });
    }
    let restarts = (0..if restarts { 1 + rng.below(3) } else { 0 }).map(|_| rng.within(RUN));
    (Plan { faults }, restarts.collect())
}

/// Runs a seed; answers with what is against it, and with what was seen.
fn run(seed: u64, is_fenced: bool, restarts: bool) -> (Vec<String>, Seen) {
    let (plan, mut restarts) = drawn(seed, restarts);
    let sim = Sim::planned(seed, plan).unwrap();
    let (world, last) = sim.run(async {
        let clock = TokioClock::default();
        let world = Arc::new(World {
            redis: Mutex::new(Database::builder().clock(clock.clone()).build()),
            clock,
            is_fenced,
            keeps_data: restarts.is_empty(),
            newest: Mutex::new(FencingToken::ZERO),
            writes: Mutex::default(),
            seen: Mutex::default(),
        });
        let mut tx = sim.database().begin().await.unwrap();
        let inserted = tx.statement().await.unwrap().insert(Register(0)).await;
        let _ = inserted.unwrap();
        sim.database().commit(tx).await.unwrap();
        for name in HOSTS {
            let world = Arc::clone(&world);
            sim.host(name, move |process| {
                write_under_lock(process, Arc::clone(&world))
            });
        }
        restarts.sort();
        for at in restarts {
            tokio::time::sleep(at.saturating_sub(world.now())).await;
            world.restart_redis();
        }
        tokio::time::sleep(RUN.saturating_sub(world.now())).await;
        sim.heal();
        tokio::time::sleep(QUIET).await;
        sim.hosts().iter().for_each(mainstay_simulation::Host::lose);
        tokio::time::sleep(QUIET).await;
        let last = sim.database().committed::<Register>()[0].0;
        (world, last)
    });
    let writes: Vec<Write> = world.writes.lock().unwrap().values().cloned().collect();
    let mut told = violations(&writes, last);
    told.extend(sim.broken());
    let counts = world.seen.lock().unwrap().clone();
    assert!(counts.grants > 0, "nobody ever had the lock");
    (told, counts)
}

/// Seeds that are run, and how often each thing was seen.
fn campaign(seeds: u64, is_fenced: bool, restarts: bool) -> (Vec<String>, Seen) {
    let (mut all, mut sum) = (Vec::new(), Seen::default());
    for seed in 0..seeds {
        let (told, seen) = run(seed, is_fenced, restarts);
        let told = told.into_iter();
        all.extend(told.map(|what| format!("seed {seed}: {what}")));
        sum.grants += seen.grants;
        sum.lost += seen.lost;
        sum.fenced += seen.fenced;
        sum.regressed += seen.regressed;
        sum.unknown += seen.unknown;
    }
    (all, sum)
}

#[test]
fn under_faults_a_fenced_register_is_linearizable_and_one_holder_polls() {
    let (told, seen) = campaign(150, true, false);
    assert!(told.is_empty(), "{}", told.join("\n"));
    println!("{seen:?}");
    assert!(seen.lost > 20 && seen.unknown > 20, "{seen:?}");
}

#[test]
fn with_a_redis_that_restarts_empty_a_fenced_register_is_linearizable() {
    let (told, seen) = campaign(150, true, true);
    assert!(told.is_empty(), "{}", told.join("\n"));
    println!("{seen:?}");
    // Tokens came again, were refused, and were followed by larger ones.
    assert!(seen.regressed > 20 && seen.fenced > 20, "{seen:?}");
}

/// The checker sees, and a lock alone excludes nothing.
#[test]
fn without_the_fence_the_same_register_loses_writes() {
    let (told, seen) = campaign(50, false, true);
    println!("{} violations, {seen:?}", told.len());
    assert!(told.len() > 10, "{} violations, {seen:?}", told.len());
}
