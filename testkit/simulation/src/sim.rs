//! The simulation: a runtime with simulated time, a database, a broker, and hosts.

mod acts;

use std::{
    fmt,
    future::Future,
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use mainstay_clock::{IdGenerator, TokioClock};
use mainstay_database::memory::Database;
use mainstay_messaging::{Message, memory::Broker};
use parking_lot::Mutex;
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use crate::{host::Host, plan::Plan, process::Process, rng::ids, run::Report, world::World};

/// A simulation: time, a database, a broker and hosts, on one thread.
///
/// Time is tokio's paused clock: it jumps to the next timer whenever all tasks wait. The run follows
/// from the seed and the plan.
#[derive(Debug)]
pub struct Sim {
    pub(crate) world: Arc<World>,
    runtime: Runtime,
}

impl Sim {
    /// A simulation without planned faults.
    ///
    /// # Errors
    /// If the operating system refuses a runtime.
    pub fn new(seed: u64) -> io::Result<Self> {
        Self::planned(seed, Plan::default())
    }

    /// A simulation with the faults of a plan.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn planned(seed: u64, plan: Plan) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        let entered = runtime.enter();
        let clock = TokioClock::default();
        drop(entered);
        let generator = |name| -> Arc<dyn IdGenerator> { Arc::new(ids(seed, name, 0)) };
        let database = Database::builder().clock(clock.clone());
        let database = database.ids(generator("the database")).build();
        let broker = Broker::builder()
            .lease(Duration::from_secs(3))
            .revocation_timeout(Duration::from_secs(2))
            .clock(clock.clone())
            .ids(generator("the broker"))
            .build();
        let world = World {
            seed,
            clock,
            database,
            broker,
            runtime: runtime.handle().clone(),
            report: Mutex::new(Report {
                seed,
                hash: 0x9E37_79B9_7F4A_7C15,
                struck: vec![0; plan.faults.len()],
                plan: plan.clone(),
                ..Report::default()
            }),
            shared: Mutex::default(),
            on_stored: OnceLock::new(),
            numbering: OnceLock::new(),
            plan,
        };
        Ok(Self {
            world: Arc::new(world),
            runtime,
        })
    }

    /// Adds a host and starts it. Each start calls `factory` for the service that runs on it.
    ///
    /// A service may end by itself. If it ends with an error or a panic, [`broken`](Self::broken)
    /// lists it.
    pub fn host<F, E>(
        &self,
        name: &str,
        factory: impl Fn(Process) -> F + Send + Sync + 'static,
    ) -> Host
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        Host::new(&self.world, name, factory)
    }

    /// Runs the simulation until `scenario` has ended.
    pub fn run<T>(&self, scenario: impl Future<Output = T>) -> T {
        self.runtime.block_on(async {
            let mut acts = JoinSet::new();
            acts::schedule(&self.world, &mut acts);
            scenario.await
        })
    }

    /// The database, for the scenario: no fault of a call applies.
    pub fn database(&self) -> &Database {
        &self.world.database
    }

    /// The broker, for the scenario: no fault of a call applies.
    pub fn broker(&self) -> &Broker {
        &self.world.broker
    }

    /// Defines the number of a message, by which [`Act::Refuse`](crate::Act::Refuse) and
    /// [`Act::Poison`](crate::Act::Poison) name it. Only the first call has an effect.
    pub fn number(&self, numbering: impl Fn(&Message) -> Option<usize> + Send + Sync + 'static) {
        drop(self.world.numbering.set(Box::new(numbering)));
    }

    /// Ends all faults: cuts and outages end, killed hosts are started, unknown commits are decided,
    /// and the server ends transactions whose clients are gone. A planned shutdown that has begun
    /// goes on, and its host is started again afterwards.
    ///
    /// From here on, the service must finish its work.
    pub fn heal(&self) {
        self.world.shared.lock().poison.clear();
        self.world.heal();
    }

    /// All hosts, in the order in which they were added.
    pub fn hosts(&self) -> Vec<Host> {
        self.world.shared.lock().hosts.clone()
    }

    /// The faults.
    pub fn plan(&self) -> &Plan {
        &self.world.plan
    }

    /// How many times each fault of the plan took effect.
    pub fn struck(&self) -> Vec<u32> {
        self.world.report.lock().struck.clone()
    }

    /// Hosts that panicked or ended with an error, as texts.
    pub fn broken(&self) -> Vec<String> {
        self.world.report.lock().violations.clone()
    }
}
