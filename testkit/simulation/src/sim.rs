//! The simulation: one runtime whose time jumps, a database, a broker, and hosts.

mod acts;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    io,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use mainstay_clock::{IdGenerator, TokioClock};
use mainstay_database::memory::Database;
use mainstay_messaging::{
    Group, Message, Topic,
    memory::{Broker, Options},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use crate::{
    host::Host,
    plan::{Act, Fault, Plan},
    process::Process,
    rng::ids,
    world::{LifeOf, Record, World},
};

/// A simulated world: time, a database, a broker, and the hosts that are put into it.
///
/// All of it runs on one thread, and all of it follows from the seed and the plan.
#[derive(Debug)]
pub struct Sim {
    world: Arc<World>,
    runtime: Runtime,
}

impl Sim {
    /// A world in which nothing goes wrong by itself.
    ///
    /// # Errors
    /// When the operating system refuses a runtime.
    pub fn new(seed: u64) -> io::Result<Self> {
        Self::with(seed, Plan::default(), false)
    }

    /// A world in which the plan's faults strike.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn planned(seed: u64, plan: Plan) -> io::Result<Self> {
        Self::with(seed, plan, false)
    }

    /// As [`planned`](Self::planned); `traced` worlds write down what happens.
    pub(crate) fn with(seed: u64, plan: Plan, traced: bool) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        let entered = runtime.enter();
        let clock = TokioClock::default();
        drop(entered);
        let generator = |name| -> Arc<dyn IdGenerator> { Arc::new(ids(seed, name, 0)) };
        let database = Database::with(Arc::new(clock.clone()), generator("the database"));
        let mut options = Options::default();
        options.lease = Duration::from_secs(3);
        options.revocation = Duration::from_secs(2);
        options.clock = Arc::new(clock.clone());
        options.ids = generator("the broker");
        let world = World {
            seed,
            clock,
            database,
            broker: Broker::new(options),
            runtime: runtime.handle().clone(),
            record: Mutex::new(Record::new(plan.faults.len(), traced)),
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

    /// Puts a host into the world and starts it. `factory` makes what runs on it, anew for each of its lives.
    ///
    /// That it ends by itself is no fault; that it ends with an error or a panic is one.
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

    /// The database, as somebody reaches it whom no fault of the plan strikes.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.world.database
    }

    /// The broker, as somebody reaches it whom no fault of the plan strikes.
    #[must_use]
    pub fn broker(&self) -> &Broker {
        &self.world.broker
    }

    /// The world's own time.
    #[must_use]
    pub fn clock(&self) -> &TokioClock {
        &self.world.clock
    }

    /// Says which message of the scenario a message is: the plan speaks of the n-th one. The first answer stays the only one.
    pub fn number(&self, numbering: impl Fn(&Message) -> Option<usize> + Send + Sync + 'static) {
        drop(self.world.numbering.set(Box::new(numbering)));
    }

    /// Ends all faults: everybody reaches everything again, hosts that were killed are started, commits under way are decided,
    /// and the server notices whose clients are gone. From here on everything must come to its end. A planned stop that has begun goes on:
    /// its host is started again when its time has come.
    pub fn heal(&self) {
        self.world.shared().poison.clear();
        acts::heal(&self.world);
    }

    /// As [`heal`](Self::heal), but what handlers refuse they go on to refuse.
    pub fn heal_but_handlers(&self) {
        acts::heal(&self.world);
    }

    /// All hosts, in the order in which they were put into the world.
    #[must_use]
    pub fn hosts(&self) -> Vec<Host> {
        self.world.shared().hosts.clone()
    }

    /// The faults.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.world.plan
    }

    /// Groups, and what they read.
    pub(crate) fn readers(&self) -> BTreeMap<Group, BTreeSet<Topic>> {
        self.world.shared().readers.clone()
    }

    /// How often each fault of the plan has struck.
    #[must_use]
    pub fn struck(&self) -> Vec<u32> {
        self.world.record().struck.clone()
    }

    /// Whether one of these has struck.
    pub(crate) fn has_struck(&self, what: impl Fn(&Act) -> bool) -> bool {
        let faults = self.world.plan.faults.iter().zip(self.struck());
        faults
            .filter(|(_, times)| *times > 0)
            .any(|(fault, _)| matches!(fault, Fault::At(_, act) if what(act)))
    }

    /// A number that is the same in each run of the same seed and plan, and hardly ever in any other.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.world.record().hash
    }

    /// What went wrong on hosts: they panicked, or ended with an error.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        self.world.record().broken.clone()
    }

    /// Tells `watcher` of each commit: which tables it wrote to, and whose it was.
    pub(crate) fn on_commit(
        &self,
        watcher: impl Fn(Option<LifeOf>, &BTreeSet<&'static str>) + Send + Sync + 'static,
    ) {
        let world = Arc::downgrade(&self.world);
        self.world.database.watch(move |tables| {
            let world = world.upgrade();
            let by = world.and_then(|world| world.shared().committing.take());
            watcher(by, tables);
        });
    }

    /// Tells `watcher` of each group that may have stored offsets. The first one stays the only one.
    pub(crate) fn on_stored(&self, watcher: impl Fn(&Group) + Send + Sync + 'static) {
        drop(self.world.on_stored.set(Box::new(watcher)));
    }

    pub(crate) fn take_record(&self) -> Record {
        std::mem::take(&mut *self.world.record())
    }
}
