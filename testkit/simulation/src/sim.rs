//! The simulation: one runtime whose time jumps, a database, a broker, and hosts.

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

/// A simulated world: time, database, broker, hosts. One thread runs it, as seed and plan have it.
#[derive(Debug)]
pub struct Sim {
    pub(crate) world: Arc<World>,
    runtime: Runtime,
}

impl Sim {
    /// A world in which nothing goes wrong by itself.
    ///
    /// # Errors
    /// When the operating system refuses a runtime.
    pub fn new(seed: u64) -> io::Result<Self> {
        Self::planned(seed, Plan::default())
    }

    /// A world in which the plan's faults strike.
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

    /// Puts a host into the world and starts it. `factory` makes what runs on it, anew for each of its
    /// lives. It may end by itself, but not with an error or a panic.
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

    /// Lets the world go on until `scenario` has come to its end.
    pub fn run<T>(&self, scenario: impl Future<Output = T>) -> T {
        self.runtime.block_on(async {
            let mut acts = JoinSet::new();
            acts::schedule(&self.world, &mut acts);
            scenario.await
        })
    }

    /// The database, without the plan's faults.
    pub fn database(&self) -> &Database {
        &self.world.database
    }

    /// The broker, without the plan's faults.
    pub fn broker(&self) -> &Broker {
        &self.world.broker
    }

    /// Says which message of the scenario a message is, for faults of the n-th. The first call counts.
    pub fn number(&self, numbering: impl Fn(&Message) -> Option<usize> + Send + Sync + 'static) {
        drop(self.world.numbering.set(Box::new(numbering)));
    }

    /// Ends all faults: killed hosts start, commits under way are decided, and the server notices which
    /// clients are gone. A planned stop that has begun goes on. From here on everything must end.
    pub fn heal(&self) {
        self.world.shared.lock().poison.clear();
        self.world.heal();
    }

    /// All hosts, in the order in which they were put into the world.
    pub fn hosts(&self) -> Vec<Host> {
        self.world.shared.lock().hosts.clone()
    }

    /// The faults.
    pub fn plan(&self) -> &Plan {
        &self.world.plan
    }

    /// How often each fault of the plan has struck.
    pub fn struck(&self) -> Vec<u32> {
        self.world.report.lock().struck.clone()
    }

    /// What went wrong on hosts: they panicked, or ended with an error.
    pub fn broken(&self) -> Vec<String> {
        self.world.report.lock().violations.clone()
    }
}
