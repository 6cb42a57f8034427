//! Plans from seeds.

use std::{sync::Arc, time::Duration};

use super::{Act, CallFault, Fault, Plan, Port, Reach};
use crate::rng::Rng;

/// The hosts of a scenario by role, and when faults may begin: a [`Plan`] is drawn for it.
#[derive(Clone, Default, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests write it as a literal")]
pub struct Topology {
    /// Hosts that write to the database.
    pub writers: Vec<Arc<str>>,
    /// Hosts that publish.
    pub relays: Vec<Arc<str>>,
    /// Hosts that consume.
    pub workers: Vec<Arc<str>>,
    /// Hosts that replay dead letters.
    pub replayers: Vec<Arc<str>>,
    /// Partitions of the topic.
    pub partitions: u16,
    /// Messages of the scenario that can be refused.
    pub messages: usize,
    /// Faults begin within this time.
    pub within: Duration,
}

impl Topology {
    /// All of them.
    pub(crate) fn hosts(&self) -> Vec<Arc<str>> {
        [&*self.writers, &self.relays, &self.workers, &self.replayers].concat()
    }
}

impl Plan {
    /// The plan of a seed: about twenty faults. At least three of them take effect, if there are three
    /// relays, workers and replayers.
    #[must_use]
    pub fn draw(seed: u64, topology: &Topology) -> Self {
        let rng = Rng::new(seed, "plan");
        let all = topology.hosts();
        let mut faults = Vec::new();
        let mut others = [&*topology.relays, &topology.workers, &topology.replayers].concat();
        for nth in 0..3 + rng.below(4) {
            // Three of them on different hosts that do not end by themselves, so that each finds its
            // host running.
            let among = if nth < 3 { &others } else { &all };
            let Some(host) = rng.one(among) else { break };
            others.retain(|other| *other != host);
            let act = match rng.below(3) {
                0 => Act::Kill(host, rng.millis(2_000)),
                1 => Act::Stop(host, rng.millis(2_000)),
                _ => Act::Pause(host, rng.millis(8_000)),
            };
            faults.push(Fault::At(rng.within(topology.within), act));
        }
        for _ in 0..rng.below(5) {
            let act = any_act(&rng, topology, &all);
            faults.extend(act.map(|act| Fault::At(rng.within(topology.within), act)));
        }
        for _ in 0..4 + rng.below(16) {
            faults.extend(any_call(&rng, topology, &all));
        }
        // Sometimes one of several hosts is killed for good.
        let several = [&*topology.relays, &topology.workers].into_iter();
        let several: Vec<_> = several.filter(|hosts| hosts.len() > 1).collect();
        if rng.one_in(6)
            && let Some(host) = rng.one(&several).and_then(|hosts| rng.one(hosts))
        {
            faults.push(Fault::At(rng.within(topology.within), Act::Lose(host)));
        }
        // A worker releases partitions once or twice.
        if rng.one_in(3)
            && let Some(host) = rng.one(&topology.workers)
        {
            let often = 1 + rng.below(3);
            faults.extend(call(&rng, host, Port::Release, often));
        }
        Self { faults }
    }
}

fn any_act(rng: &Rng, topology: &Topology, all: &[Arc<str>]) -> Option<Act> {
    Some(match rng.below(9) {
        0 => {
            let reach = [Reach::Database, Reach::Broker, Reach::Everything];
            Act::Cut(rng.one(all)?, rng.one(&reach)?, rng.millis(6_000))
        }
        1 => {
            let seconds = rng.below(7_200) - 3_600;
            Act::ClockJump(rng.one(all)?, seconds)
        }
        2 => Act::DatabaseDown(rng.millis(2_000)),
        3 => Act::BrokerDown(rng.millis(4_000)),
        4 => Act::Rebalance,
        5 => Act::Expel(rng.below(topology.partitions.into())),
        6 => Act::Linger(rng.millis(4_000)),
        7 => Act::Refuse(rng.below(topology.messages)),
        _ => Act::Poison(rng.below(topology.messages)),
    })
}

fn any_call(rng: &Rng, topology: &Topology, all: &[Arc<str>]) -> Option<Fault> {
    let handling = [&*topology.workers, &topology.replayers].concat();
    let (hosts, port, often): (&[Arc<str>], _, _) = match rng.below(9) {
        0 => (all, Port::Begin, 30),
        1 => (all, Port::Statement, 60),
        2 | 3 => (all, Port::Commit, 15),
        4 | 5 => (&topology.relays, Port::Publish, 12),
        6 => (&topology.workers, Port::Deliver, 10),
        7 => (&topology.workers, Port::Acknowledge, 10),
        _ => (&handling, Port::Handle, 20),
    };
    call(rng, rng.one(hosts)?, port, 1 + rng.below(often))
}

/// A fault that can happen to a call of this port.
fn call(rng: &Rng, host: Arc<str>, port: Port, call: u32) -> Option<Fault> {
    use CallFault::{
        AnswerLost, AppliedLater, Conflict, DiscardedLater, Echo, Fails, HalfLost, LateAnswer,
        LockTimeout, Lost, Panics, Stall, Twice,
    };
    let later = rng.millis(4_000);
    let (stall, late, applied) = (Stall(later), LateAnswer(later), AppliedLater(later));
    let faults: &[CallFault] = match port {
        Port::Begin | Port::Release => &[Lost, stall],
        Port::Statement => &[Lost, Conflict, LockTimeout, stall],
        Port::Commit => &[
            Lost,
            AnswerLost,
            applied,
            DiscardedLater(later),
            Conflict,
            stall,
        ],
        Port::Publish => &[
            Lost,
            AnswerLost,
            applied,
            HalfLost,
            Twice,
            Echo(later),
            stall,
            late,
        ],
        Port::Deliver => &[Lost, late, AnswerLost],
        Port::Acknowledge => &[Lost, AnswerLost, stall, late],
        Port::Handle => &[Fails, Panics, Conflict, stall],
    };
    Some(Fault::Call {
        host,
        port,
        call,
        fault: rng.one(faults)?,
    })
}
