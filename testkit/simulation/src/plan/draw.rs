//! Plans from seeds.

use std::{sync::Arc, time::Duration};

use super::{Act, CallFault, Fault, Plan, Port, Reach};
use crate::rng::Rng;

/// Who can be struck, and when: what a plan is drawn for.
#[derive(Clone, Default, Debug)]
pub struct Topology {
    /// Hosts that write to the database.
    pub writers: Vec<Arc<str>>,
    /// Hosts that publish.
    pub relays: Vec<Arc<str>>,
    /// Hosts that consume.
    pub workers: Vec<Arc<str>>,
    /// Partitions of the topic.
    pub partitions: u16,
    /// Messages of the scenario that can be refused.
    pub messages: usize,
    /// For how long faults begin.
    pub within: Duration,
}

impl Plan {
    /// The plan of a seed: some twenty faults, among them three that strike whatever happens, where there are as many relays and workers.
    #[must_use]
    pub fn draw(seed: u64, topology: &Topology) -> Self {
        let rng = Rng::new(seed, "plan");
        let all = [&*topology.writers, &topology.relays, &topology.workers].concat();
        let mut faults = Vec::new();
        let mut others = [&*topology.relays, &topology.workers].concat();
        for nth in 0..3 + rng.below(4) {
            // Three of them on different hosts that do not end by themselves: one that is not running when its time has come
            // was struck by another.
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
            if let Some(act) = any_act(&rng, topology, &all) {
                faults.push(Fault::At(rng.within(topology.within), act));
            }
        }
        for _ in 0..4 + rng.below(16) {
            faults.extend(any_call(&rng, topology, &all));
        }
        // One of several is lost for good, now and then.
        let several = [&*topology.relays, &topology.workers].into_iter();
        let several: Vec<_> = several.filter(|hosts| hosts.len() > 1).collect();
        if rng.one_in(6)
            && let Some(host) = rng.one(&several).and_then(|hosts| rng.one(hosts))
        {
            faults.push(Fault::At(rng.within(topology.within), Act::Lose(host)));
        }
        // Partitions are given back once or twice in a life.
        if rng.one_in(3)
            && let Some(host) = rng.one(&topology.workers)
        {
            let often = 1 + rng.below(3);
            faults.extend(call(&rng, host, Port::Release, often));
        }
        Self::of(faults)
    }
}

fn any_act(rng: &Rng, topology: &Topology, all: &[Arc<str>]) -> Option<Act> {
    Some(match rng.below(9) {
        0 => {
            let reach = [Reach::Database, Reach::Broker, Reach::Everything];
            Act::Cut(rng.one(all)?, rng.one(&reach)?, rng.millis(6_000))
        }
        1 => {
            let seconds = i64::try_from(rng.below(7_200)).unwrap_or(0) - 3_600;
            Act::ClockJump(rng.one(all)?, seconds)
        }
        2 => Act::DatabaseDown(rng.millis(2_000)),
        3 => Act::BrokerDown(rng.millis(4_000)),
        4 => Act::Rebalance,
        5 => Act::Expel(i32::try_from(rng.below(topology.partitions.into())).unwrap_or(0)),
        6 => Act::Linger(rng.millis(4_000)),
        7 => Act::Refuse(rng.number(topology.messages)),
        _ => Act::Poison(rng.number(topology.messages)),
    })
}

fn any_call(rng: &Rng, topology: &Topology, all: &[Arc<str>]) -> Option<Fault> {
    let (hosts, port, often): (&[Arc<str>], _, _) = match rng.below(9) {
        0 => (all, Port::Begin, 30),
        1 => (all, Port::Statement, 60),
        2 | 3 => (all, Port::Commit, 15),
        4 | 5 => (&topology.relays, Port::Publish, 12),
        6 => (&topology.workers, Port::Deliver, 10),
        7 => (&topology.workers, Port::Acknowledge, 10),
        _ => (&topology.workers, Port::Handle, 20),
    };
    call(rng, rng.one(hosts)?, port, 1 + rng.below(often))
}

/// Something that can happen to a call of this port.
fn call(rng: &Rng, host: Arc<str>, port: Port, nth: u64) -> Option<Fault> {
    let later = rng.millis(4_000);
    let faults: &[CallFault] = match port {
        Port::Begin | Port::Release => &[CallFault::Lost, CallFault::Stall(later)],
        Port::Statement => &[
            CallFault::Lost,
            CallFault::Conflict,
            CallFault::LockTimeout,
            CallFault::Stall(later),
        ],
        Port::Commit => &[
            CallFault::Lost,
            CallFault::AnswerLost,
            CallFault::AppliedLater(later),
            CallFault::DiscardedLater(later),
            CallFault::Conflict,
            CallFault::Stall(later),
        ],
        Port::Publish => &[
            CallFault::Lost,
            CallFault::AnswerLost,
            CallFault::AppliedLater(later),
            CallFault::HalfLost,
            CallFault::Twice,
            CallFault::Echo(later),
            CallFault::Stall(later),
            CallFault::LateAnswer(later),
        ],
        Port::Deliver => &[
            CallFault::Lost,
            CallFault::LateAnswer(later),
            CallFault::AnswerLost,
        ],
        Port::Acknowledge => &[
            CallFault::Lost,
            CallFault::AnswerLost,
            CallFault::Stall(later),
            CallFault::LateAnswer(later),
        ],
        Port::Handle => &[
            CallFault::Fails,
            CallFault::Panics,
            CallFault::Conflict,
            CallFault::Stall(later),
        ],
    };
    Some(Fault::Call {
        host,
        port,
        call: u32::try_from(nth).unwrap_or(1),
        fault: rng.one(faults)?,
    })
}
