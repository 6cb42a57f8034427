//! Plans from seeds.

use std::{sync::Arc, time::Duration};

use super::{Act, Fault, Plan, Port, Reach, Strike};
use crate::dice::Dice;

/// Who can be struck, and when: what a plan is drawn for.
#[derive(Clone, Default, Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by hand for each scenario")]
pub struct Crew {
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
    pub fn draw(seed: u64, crew: &Crew) -> Self {
        let dice = Dice::new(seed, "plan");
        let all = [&*crew.writers, &crew.relays, &crew.workers].concat();
        let mut strikes = Vec::new();
        let mut others = [&*crew.relays, &crew.workers].concat();
        for nth in 0..3 + dice.below(4) {
            // Three of them on different hosts that do not end by themselves: one that is not running when its time has come
            // was struck by another.
            let among = if nth < 3 { &others } else { &all };
            let Some(host) = dice.one(among) else { break };
            others.retain(|other| *other != host);
            let act = match dice.below(3) {
                0 => Act::Kill(host, dice.millis(2_000)),
                1 => Act::Stop(host, dice.millis(2_000)),
                _ => Act::Pause(host, dice.millis(8_000)),
            };
            strikes.push(Strike::At(dice.within(crew.within), act));
        }
        for _ in 0..dice.below(5) {
            if let Some(act) = any_act(&dice, crew, &all) {
                strikes.push(Strike::At(dice.within(crew.within), act));
            }
        }
        for _ in 0..4 + dice.below(16) {
            strikes.extend(any_call(&dice, crew, &all));
        }
        // One of several is lost for good, now and then.
        let several = [&*crew.relays, &crew.workers].into_iter();
        let several: Vec<_> = several.filter(|hosts| hosts.len() > 1).collect();
        if dice.one_in(6)
            && let Some(host) = dice.one(&several).and_then(|hosts| dice.one(hosts))
        {
            strikes.push(Strike::At(dice.within(crew.within), Act::Lose(host)));
        }
        // Partitions are given back once or twice in a life.
        if dice.one_in(3)
            && let Some(host) = dice.one(&crew.workers)
        {
            let often = 1 + dice.below(3);
            strikes.extend(call(&dice, host, Port::Release, often));
        }
        Self::of(strikes)
    }
}

fn any_act(dice: &Dice, crew: &Crew, all: &[Arc<str>]) -> Option<Act> {
    Some(match dice.below(9) {
        0 => {
            let reach = [Reach::Database, Reach::Broker, Reach::Everything];
            Act::Cut(dice.one(all)?, dice.one(&reach)?, dice.millis(6_000))
        }
        1 => {
            let seconds = i64::try_from(dice.below(7_200)).unwrap_or(0) - 3_600;
            Act::ClockJump(dice.one(all)?, seconds)
        }
        2 => Act::DatabaseDown(dice.millis(2_000)),
        3 => Act::BrokerDown(dice.millis(4_000)),
        4 => Act::Rebalance,
        5 => Act::Expel(i32::try_from(dice.below(crew.partitions.into())).unwrap_or(0)),
        6 => Act::Linger(dice.millis(4_000)),
        7 => Act::Refuse(dice.number(crew.messages)),
        _ => Act::Poison(dice.number(crew.messages)),
    })
}

fn any_call(dice: &Dice, crew: &Crew, all: &[Arc<str>]) -> Option<Strike> {
    let (hosts, port, often): (&[Arc<str>], _, _) = match dice.below(9) {
        0 => (all, Port::Begin, 30),
        1 => (all, Port::Statement, 60),
        2 | 3 => (all, Port::Commit, 15),
        4 | 5 => (&crew.relays, Port::Publish, 12),
        6 => (&crew.workers, Port::Deliver, 10),
        7 => (&crew.workers, Port::Acknowledge, 10),
        _ => (&crew.workers, Port::Handle, 20),
    };
    call(dice, dice.one(hosts)?, port, 1 + dice.below(often))
}

/// Something that can happen to a call of this port.
fn call(dice: &Dice, host: Arc<str>, port: Port, nth: u64) -> Option<Strike> {
    let later = dice.millis(4_000);
    let faults: &[Fault] = match port {
        Port::Begin | Port::Release => &[Fault::Lost, Fault::Stall(later)],
        Port::Statement => &[
            Fault::Lost,
            Fault::Conflict,
            Fault::LockTimeout,
            Fault::Stall(later),
        ],
        Port::Commit => &[
            Fault::Lost,
            Fault::AnswerLost,
            Fault::AppliedLater(later),
            Fault::DiscardedLater(later),
            Fault::Conflict,
            Fault::Stall(later),
        ],
        Port::Publish => &[
            Fault::Lost,
            Fault::AnswerLost,
            Fault::AppliedLater(later),
            Fault::HalfLost,
            Fault::Twice,
            Fault::Echo(later),
            Fault::Stall(later),
            Fault::LateAnswer(later),
        ],
        Port::Deliver => &[Fault::Lost, Fault::LateAnswer(later), Fault::AnswerLost],
        Port::Acknowledge => &[
            Fault::Lost,
            Fault::AnswerLost,
            Fault::Stall(later),
            Fault::LateAnswer(later),
        ],
        Port::Handle => &[
            Fault::Fails,
            Fault::Panics,
            Fault::Conflict,
            Fault::Stall(later),
        ],
    };
    Some(Strike::Call {
        host,
        port,
        call: u32::try_from(nth).unwrap_or(1),
        fault: dice.one(faults)?,
    })
}
