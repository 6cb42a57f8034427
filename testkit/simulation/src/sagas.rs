//! Sagas: writers that start runs, an orchestrator with timers, a participant, relays, a broker.
//!
//! One database and one outbox stand for those of each service: no transaction spans two services, and a
//! host can be cut off from them alone.

mod messages;
mod operator;
mod rows;
mod suppliers;
mod witness;
mod writer;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use mainstay_clock::{Clock, IdGenerator};
use mainstay_database::memory::Database;
use mainstay_messaging::{Group, Message, StartAt, Topic};
use mainstay_outbox::MemoryOutbox;
use mainstay_saga::{MemorySagas, Orchestrator};

use crate::{
    Plan, Process, Rng, Sim, Topology,
    rng::ids,
    run::Adapters,
    shop::{
        CHAOS, Failure, QUIET, close,
        engines::{Settings, block_key, publish, tuned},
        opened, restart_poisoned,
    },
};
use messages::{COMMANDS, Order, REPLIES, place_order};
use operator::Operator;
use rows::Late;
use witness::Witness;
use writer::Wish;

type Orders = Orchestrator<Order, MemorySagas, MemoryOutbox>;

/// The retention of processed records: longer than any redelivery is late.
const RETENTION: Duration = Duration::from_secs(64);
/// How often the operator looks.
const LOOK: Duration = Duration::from_millis(400);

/// The sagas of one seed.
#[derive(Clone, Debug)]
pub(crate) struct Sagas {
    seed: u64,
    /// The hosts that faults can hit.
    topology: Topology,
    shards: u16,
    /// Whether the first two steps are a group.
    is_parallel: bool,
    deadline: Option<Duration>,
    wishes: Arc<Vec<Wish>>,
    pub(crate) adapters: Arc<dyn Adapters>,
}

fn orchestrators() -> Group {
    Group::from_static("orchestrators")
}

fn suppliers() -> Group {
    Group::from_static("suppliers")
}

fn topics(names: [&'static str; 2]) -> [Topic; 2] {
    names.map(Topic::from_static)
}

impl Sagas {
    /// The sagas of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let rng = Rng::new(seed, "sagas");
        let names = |role: &str| (1..=2).map(|n| format!("{role}-{n}").into()).collect();
        let (count, keys) = (6 + rng.below(2), 2 + rng.below(2));
        let wishes = (0..count).map(|nth| Wish::draw(&rng, nth, keys)).collect();
        let workers: [Vec<_>; 2] = [names("orders"), names("suppliers")];
        Self {
            seed,
            topology: Topology {
                writers: names("writer"),
                relays: names("relay"),
                workers: workers.concat(),
                partitions: 2,
                messages: keys,
                within: CHAOS,
                ..Topology::default()
            },
            shards: [1, 2][rng.below(2)],
            is_parallel: rng.one_in(2),
            deadline: rng.one_in(3).then(|| Duration::from_secs(8)),
            wishes: Arc::new(wishes),
            adapters: Arc::new(()),
        }
    }

    /// The faults of its seed.
    pub(crate) fn plan(&self) -> Plan {
        Plan::draw(self.seed, &self.topology)
    }

    /// Plays it, and answers what may not be.
    pub(crate) async fn play(&self, sim: &Sim) -> Result<Vec<String>, Failure> {
        sim.number(key_of);
        for topic in [COMMANDS, REPLIES].concat() {
            let partitions = self.topology.partitions;
            sim.broker().create_topic(topic, partitions).await?;
        }
        let clock: Arc<dyn Clock> = Arc::new(sim.world.clock.clone());
        let operators: Arc<dyn IdGenerator> = Arc::new(ids(self.seed, "operator", 0));
        let outbox = self.outbox(sim.database(), clock, operators).await?;
        let mut operator = Operator {
            desk: self.orders(sim.database(), outbox.clone())?.desk(),
            rng: Rng::new(self.seed, "operator"),
            may_cancel: true,
        };
        self.start(sim);
        let mut told = Vec::new();
        let begun = sim.database().now();
        while sim.database().now() < begun + CHAOS + LOOK {
            tokio::time::sleep(LOOK).await;
            told.extend(operator.look().await?);
        }
        sim.heal();
        operator.may_cancel = false;
        let ending = async {
            restart_poisoned(sim, &self.topology.workers).await;
            while !self.has_ended(sim, &operator, &outbox).await? {
                tokio::time::sleep(LOOK).await;
                told.extend(operator.look().await?);
            }
            Ok::<_, Failure>(())
        };
        match tokio::time::timeout(QUIET, ending).await {
            Ok(ended) => ended?,
            Err(_) => told.push(format!(
                "not everything has come to its end after {QUIET:?}"
            )),
        }
        told.extend(close(sim).await);
        told.extend(witness::judge(sim, &operator.runs().await?));
        let records = sim.history().published.into_iter();
        let ids: BTreeSet<String> = records.map(|record| record.entry.id).collect();
        sim.world.report.lock().messages = ids.len();
        Ok(told)
    }

    fn start(&self, sim: &Sim) {
        for (at, name) in self.topology.writers.iter().enumerate() {
            let sagas = self.clone();
            sim.host(name, move |process| writer::run(sagas.clone(), at, process));
        }
        for name in &self.topology.relays {
            let sagas = self.clone();
            sim.host(name, move |process| relay(sagas.clone(), process));
        }
        for name in &self.topology.workers {
            let sagas = self.clone();
            if name.starts_with("orders") {
                sim.host(name, move |process| orchestrate(sagas.clone(), process));
            } else {
                sim.host(name, move |process| suppliers::run(sagas.clone(), process));
            }
        }
    }

    async fn has_ended(
        &self,
        sim: &Sim,
        operator: &Operator,
        outbox: &MemoryOutbox,
    ) -> Result<bool, Failure> {
        let runs = operator.runs().await?;
        if runs.len() < self.wishes.len()
            || !runs.iter().all(|run| run.status.is_ended())
            || !outbox.snapshot().rows.is_empty()
            || !sim.database().committed::<Late>().is_empty()
        {
            return Ok(false);
        }
        for group in [orchestrators(), suppliers()] {
            let progress = sim.broker().progress(&group).await?;
            if progress.iter().any(|(_, committed, end)| committed != end) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn orders(&self, database: &Database, outbox: MemoryOutbox) -> Result<Orders, Failure> {
        let definition = place_order(self.is_parallel, self.deadline);
        let orders = Orchestrator::builder(definition, MemorySagas::new(database), outbox);
        Ok(orders.observe(Witness).build()?)
    }

    async fn outbox(
        &self,
        database: &Database,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Result<MemoryOutbox, Failure> {
        let outbox = MemoryOutbox::builder(database).shards(self.shards);
        Ok(opened(outbox.source("/shop").clock(clock).ids(ids)).await?)
    }

    async fn outbox_of(
        &self,
        database: &Database,
        process: &Process,
    ) -> Result<MemoryOutbox, Failure> {
        self.outbox(database, process.clock(), process.ids()).await
    }
}

async fn relay(sagas: Sagas, process: Process) -> Result<(), Failure> {
    let outbox = sagas.outbox_of(&process.database(), &process).await?;
    let publisher = sagas.adapters.publisher(Arc::new(process.publisher()));
    let store = sagas.adapters.store(Arc::new(outbox));
    publish(sagas.seed, store, publisher, process).await
}

/// The orchestrator on a host: a worker of its replies, and its timers.
async fn orchestrate(sagas: Sagas, process: Process) -> Result<(), Failure> {
    let rng = Rng::new(sagas.seed, process.name());
    let database = process.database();
    let outbox = sagas.outbox_of(&database, &process).await?;
    let orders = sagas.orders(&database, outbox)?;
    let replies = process
        .consumer(&orchestrators(), &topics(REPLIES), StartAt::Earliest)
        .await?;
    let settings = Settings::draw(&rng, 1 + rng.below(40), RETENTION);
    let worker = tuned(orders.worker(replies), &settings, &process).failure_policy(block_key());
    let timers = orders
        .timers()
        .poll_interval(Duration::from_millis(100 + rng.below(500)))
        .batch_size(1 + rng.below(4));
    let shutdown = process.shutdown();
    let (ended, ()) = tokio::join!(
        worker.run_until(shutdown.clone().cancelled_owned()),
        timers.run_until(shutdown.cancelled_owned()),
    );
    Ok(ended?)
}

/// The key of a message: all of one key are refused or poisoned.
fn key_of(message: &Message) -> Option<usize> {
    message.key.as_ref()?.as_str().parse().ok()
}
