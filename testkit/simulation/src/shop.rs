//! The standard scenario: writers, an outbox, relays, a broker, workers, effects.

mod ending;
pub(crate) mod engines;
mod operator;
mod rows;
mod witness;
mod writer;

use std::{error::Error, sync::Arc, time::Duration};

use mainstay_database::memory::Database;
use mainstay_messaging::{Group, Message, Topic};
use mainstay_outbox::{MemoryOutbox, OutboxBuilder};

use crate::{Act, Fault, Host, Plan, Rng, Sim, Topology, judge, run::Adapters};
pub(crate) use rows::table;
use witness::Witness;
use writer::Wish;

fn topic() -> Topic {
    Topic::from_static("orders")
}

fn group() -> Group {
    Group::from_static("fulfilment")
}

/// Faults begin within this time.
pub(crate) const CHAOS: Duration = Duration::from_secs(6);
/// How long the work may take to end once all faults have ended.
pub(crate) const QUIET: Duration = Duration::from_secs(240);
/// How long a host may take to shut down once all faults have ended.
const CLOSING: Duration = Duration::from_secs(30);

/// The retention of runs that prune: longer than any redelivery is late.
const WINDOW: Duration = Duration::from_secs(16);
/// The retention of other runs, which then do not look for old processed records.
const LONG_WINDOW: Duration = Duration::from_secs(64);

/// The shop of one seed.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    seed: u64,
    /// The hosts that faults can hit.
    topology: Topology,
    shards: u16,
    lasting: Option<Lasting>,
    /// Whether workers have a dead letter queue; otherwise a failing message blocks its key in the
    /// worker.
    has_queue: bool,
    wishes: Arc<Vec<Wish>>,
    pub(crate) adapters: Arc<dyn Adapters>,
}

/// A failure that outlasts all other faults: of the n-th message, alone under its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lasting {
    /// Handlers refuse it until processed records of its partition are old.
    Poison(usize),
    /// The broker refuses it until all other work has ended.
    Refusal(usize),
}

impl Shop {
    /// The shop of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let rng = Rng::new(seed, "shop");
        let names = |role: &str, count: u64| -> Vec<Arc<str>> {
            (1..=count).map(|n| format!("{role}-{n}").into()).collect()
        };
        let (messages, keys) = (30 + rng.below(12), 3 + rng.below(5));
        let wishes = (0..messages).map(|nth| Wish::draw(&rng, nth, keys));
        let mut wishes: Vec<Wish> = wishes.collect();
        let poison = rng.one_in(8).then(|| rng.below(messages / 2));
        let refused = Rng::new(seed, "lasting refusal");
        let refusal = refused.one_in(8).then(|| refused.below(messages));
        let lasting = poison.map(Lasting::Poison);
        let lasting = lasting.or(refusal.map(Lasting::Refusal));
        // Alone under its key: a redelivery that stays unread behind it for longer than the retention
        // would count as a new message. Delayed messages would wait behind it without a key.
        if let Some(Lasting::Poison(nth) | Lasting::Refusal(nth)) = lasting
            && let Some(wish) = wishes.get_mut(nth)
        {
            wish.set_alone(keys);
        }
        let has_queue = !Rng::new(seed, "dead letters").one_in(2);
        Self {
            seed,
            has_queue,
            topology: Topology {
                writers: names("writer", 2),
                relays: names("relay", 2 + rng.below(2)),
                workers: names("worker", 2),
                replayers: names("replayer", u64::from(has_queue)),
                partitions: 3,
                messages,
                within: CHAOS,
            },
            shards: [1, 2, 4][rng.below(3)],
            lasting,
            wishes: Arc::new(wishes),
            adapters: Arc::new(()),
        }
    }

    /// The faults of its seed.
    pub(crate) fn plan(&self) -> Plan {
        let mut plan = Plan::draw(self.seed, &self.topology);
        let lasting = match self.lasting {
            Some(Lasting::Poison(nth)) => Act::Poison(nth),
            Some(Lasting::Refusal(nth)) => Act::Refuse(nth),
            None => return plan,
        };
        // No other poison: redeliveries behind it would stay unread for longer than the retention.
        plan.faults
            .retain(|fault| !matches!(fault, Fault::At(_, Act::Poison(_))));
        plan.faults.push(Fault::At(Duration::ZERO, lasting));
        plan
    }

    /// Plays it, and answers what may not be.
    pub(crate) async fn play(&self, sim: &Sim) -> Result<Vec<String>, Failure> {
        sim.number(nth_of);
        let partitions = self.topology.partitions;
        sim.broker().create_topic(topic(), partitions).await?;
        let outbox = self.outbox(sim.database()).await?;
        let witness = Witness::of(sim, &outbox, self.shards);
        for (at, name) in self.topology.writers.iter().enumerate() {
            let shop = self.clone();
            sim.host(name, move |process| writer::run(shop.clone(), at, process));
        }
        for name in &self.topology.relays {
            let (shop, witness) = (self.clone(), Arc::clone(&witness));
            sim.host(name, move |process| {
                engines::relay(shop.clone(), Arc::clone(&witness), process)
            });
        }
        for name in &self.topology.workers {
            let (shop, witness) = (self.clone(), Arc::clone(&witness));
            sim.host(name, move |process| {
                engines::worker(shop.clone(), Arc::clone(&witness), process)
            });
        }
        for name in &self.topology.replayers {
            let shop = self.clone();
            sim.host(name, move |process| {
                engines::replayer(shop.clone(), process)
            });
        }
        // An operator who acts while faults go on.
        tokio::time::sleep(CHAOS / 2).await;
        self.replay_all(sim).await?;
        tokio::time::sleep(CHAOS / 2 + Duration::from_millis(500)).await;
        let mut violations = self.outlast(sim, &witness).await?;
        sim.heal();
        let ending = async {
            restart_poisoned(sim, &self.topology.workers).await;
            self.come_to_an_end(sim, &outbox).await
        };
        match tokio::time::timeout(QUIET, ending).await {
            Ok(ended) => ended?,
            Err(_) => violations.push(format!(
                "not everything has come to its end after {QUIET:?}"
            )),
        }
        violations.extend(close(sim).await);
        let seen = std::mem::take(&mut witness.caught_up().history);
        violations.extend(judge(&self.history(sim, &witness, seen)));
        sim.world.report.lock().messages = self.wishes.len();
        Ok(violations)
    }

    /// The retention of processed records.
    const fn window(&self) -> Duration {
        match self.lasting {
            Some(Lasting::Poison(_)) => WINDOW,
            _ => LONG_WINDOW,
        }
    }

    async fn outbox(&self, database: &Database) -> Result<MemoryOutbox, mainstay_outbox::Error> {
        let outbox = MemoryOutbox::builder(database).shards(self.shards);
        outbox.open().await
    }

    async fn outbox_of(&self, database: &Database) -> Result<MemoryOutbox, mainstay_outbox::Error> {
        opened(MemoryOutbox::builder(database).shards(self.shards)).await
    }
}

/// Opens an outbox on a host, and retries until that succeeds.
pub(crate) async fn opened(
    outbox: OutboxBuilder<Database>,
) -> Result<MemoryOutbox, mainstay_outbox::Error> {
    loop {
        match outbox.clone().open().await {
            Err(error) if error.is_retryable() => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            result => return result,
        }
    }
}

/// Restarts workers whose keys wait for a better build, as an operator does. All other work goes on by
/// itself.
pub(crate) async fn restart_poisoned(sim: &Sim, names: &[Arc<str>]) {
    let faults = sim.plan().faults.iter().zip(sim.struck());
    let mut struck = faults.filter(|(_, times)| *times > 0);
    if !struck.any(|(fault, _)| matches!(fault, Fault::At(_, Act::Poison(_)))) {
        return;
    }
    let mut workers = sim.hosts();
    workers.retain(|host| names.iter().any(|name| **name == *host.name()));
    for worker in workers {
        let life = worker.life();
        worker.stop();
        // A planned shutdown may have started it again already.
        while worker.is_running() && worker.life() == life {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        worker.start();
    }
}

/// Shuts every host down; returns those that do not end.
pub(crate) async fn close(sim: &Sim) -> Vec<String> {
    let hosts = sim.hosts();
    let ended = async || {
        // Repeatedly: a planned shutdown starts its host once more.
        let running = hosts.iter().filter(|host| host.is_running());
        running.map(Host::stop).count() == 0
    };
    sim.until(CLOSING, ended).await;
    let running = hosts.iter().filter(|host| host.is_running());
    let stuck = running.map(|host| format!("{} has not ended after {CLOSING:?}", host.name()));
    let stuck = stuck.collect();
    hosts.iter().for_each(Host::kill);
    stuck
}

/// The scenario could not be played.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The number of the wish that a message fulfils.
fn nth_of(message: &Message) -> Option<usize> {
    message.id.as_str().parse().ok()
}
