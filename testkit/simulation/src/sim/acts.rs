//! What the plan says about times, and the end of all faults.

use std::{sync::Arc, time::Duration};

use mainstay_messaging::Partition;
use tokio::task::JoinSet;

use crate::{
    core::Core,
    host::{CutBy, Host},
    plan::{Act, Strike},
};

/// How long a host may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn schedule(core: &Arc<Core>, acts: &mut JoinSet<()>) {
    for (place, strike) in core.plan.strikes.iter().enumerate() {
        if let Strike::At(time, act) = strike {
            let (core, time, act) = (Arc::clone(core), *time, act.clone());
            acts.spawn(async move {
                tokio::time::sleep(time).await;
                if !core.is_healed() {
                    strike_now(&core, place, act).await;
                }
            });
        }
    }
}

async fn strike_now(core: &Arc<Core>, place: usize, act: Act) {
    let faults = core.broker.faults();
    match act {
        Act::Kill(name, down) => {
            if let Some(host) = running(core, &name) {
                core.struck(place);
                host.kill();
                tokio::time::sleep(down).await;
                host.start();
            }
        }
        Act::Lose(name) => {
            if let Some(host) = running(core, &name) {
                core.struck(place);
                host.lose();
            }
        }
        Act::Stop(name, down) => {
            if let Some(host) = running(core, &name) {
                core.struck(place);
                host.stop();
                for _ in 0..PATIENCE.as_millis() / 100 {
                    if !host.is_running() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                host.kill();
                tokio::time::sleep(down).await;
                host.start();
            }
        }
        Act::Pause(name, time) => {
            if let Some(host) = running(core, &name) {
                core.struck(place);
                host.pause(time);
            }
        }
        Act::Cut(name, from, time) => {
            if let Some(host) = host(core, &name) {
                host.cut(from, time, CutBy(Some(place)));
            }
        }
        Act::ClockJump(name, seconds) => {
            if let Some(host) = host(core, &name) {
                core.struck(place);
                host.jump(seconds);
            }
        }
        Act::DatabaseDown(time) => {
            core.struck(place);
            core.database.faults().set_down(true);
            tokio::time::sleep(time).await;
            core.database.faults().set_down(false);
        }
        Act::BrokerDown(time) => {
            core.shared().broker_down = Some(place);
            tokio::time::sleep(time).await;
            core.shared().broker_down = None;
        }
        Act::Rebalance => {
            let readers = core.shared().readers.clone();
            for (group, _) in readers {
                core.struck(place);
                faults.redeliver(&group);
            }
        }
        Act::Expel(number) => {
            let readers = core.shared().readers.clone();
            for (group, topics) in readers {
                for topic in topics {
                    core.struck(place);
                    faults.expel(&group, &Partition { topic, number });
                }
            }
        }
        Act::Linger(time) => {
            core.shared().linger = Some(place);
            tokio::time::sleep(time).await;
            core.shared().linger = None;
            core.end_lingering();
        }
        Act::Refuse(nth) => {
            let numbering = core.shared().numbering.clone();
            if let Some(numbering) = numbering {
                let core = Arc::downgrade(core);
                faults.refuse(move |message| {
                    let refused = numbering(message) == Some(nth);
                    if refused && let Some(core) = core.upgrade() {
                        core.struck(place);
                    }
                    refused
                });
            }
        }
        Act::Poison(nth) => core.shared().poison.push((nth, place)),
    }
}

fn host(core: &Core, name: &str) -> Option<Host> {
    let shared = core.shared();
    let mut hosts = shared.hosts.iter();
    hosts.find(|host| host.name() == name).cloned()
}

fn running(core: &Core, name: &str) -> Option<Host> {
    host(core, name).filter(Host::is_running)
}

pub(super) fn heal(core: &Arc<Core>) {
    core.set_healed();
    core.note(0x4EA1, || "HEALED".to_owned());
    let hosts = {
        let mut shared = core.shared();
        shared.linger = None;
        shared.broker_down = None;
        shared.hosts.clone()
    };
    core.broker.faults().heal();
    core.database.faults().clear();
    for (nth, pending) in core.database.faults().pending().into_iter().enumerate() {
        if nth % 2 == 0 {
            pending.apply();
        } else {
            pending.discard();
        }
    }
    core.end_lingering();
    for host in hosts {
        host.reconnect();
        host.resume();
        host.revive();
    }
}
