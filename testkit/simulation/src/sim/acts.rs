//! Faults that happen at a time.

use std::{sync::Arc, time::Duration};

use mainstay_messaging::Partition;
use tokio::task::JoinSet;

use crate::{
    host::Host,
    plan::{Act, Fault},
    world::World,
};

/// How long a host may take to shut down.
const PATIENCE: Duration = Duration::from_secs(20);

/// Schedules the acts of the plan.
pub(super) fn schedule(world: &Arc<World>, acts: &mut JoinSet<()>) {
    for (place, fault) in world.plan.faults.iter().enumerate() {
        if let Fault::At(time, act) = fault {
            let (world, time, act) = (Arc::clone(world), *time, act.clone());
            acts.spawn(async move {
                tokio::time::sleep(time).await;
                if !world.shared.lock().healed {
                    inject(&world, place, act).await;
                }
            });
        }
    }
}

async fn inject(world: &Arc<World>, place: usize, act: Act) {
    let faults = world.broker.faults();
    let host = |name: &str| {
        let shared = world.shared.lock();
        let mut hosts = shared.hosts.iter();
        hosts.find(|host| host.name() == name).cloned()
    };
    let running = |name: &str| {
        let running = host(name).filter(Host::is_running);
        running.inspect(|_| world.struck(place))
    };
    match act {
        Act::Kill(name, down) => {
            let Some(host) = running(&name) else { return };
            die(&host, down).await;
        }
        Act::Lose(name) => running(&name).iter().for_each(Host::lose),
        Act::Stop(name, down) => {
            let Some(host) = running(&name) else { return };
            host.stop();
            for _ in 0..PATIENCE.as_millis() / 100 {
                if !host.is_running() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            die(&host, down).await;
        }
        Act::Pause(name, time) => running(&name).iter().for_each(|host| host.pause(time)),
        Act::Cut(name, from, time) => {
            let Some(host) = host(&name) else { return };
            host.cut(from, time, Some(place));
        }
        Act::ClockJump(name, seconds) => {
            let Some(host) = host(&name) else { return };
            world.struck(place);
            host.jump(seconds);
        }
        Act::DatabaseDown(time) => {
            world.struck(place);
            world.database.faults().set_down(true);
            tokio::time::sleep(time).await;
            world.database.faults().set_down(false);
        }
        Act::BrokerDown(time) => {
            world.shared.lock().broker_down = Some(place);
            tokio::time::sleep(time).await;
            world.shared.lock().broker_down = None;
        }
        Act::Rebalance => {
            let readers = world.shared.lock().readers.clone();
            for (group, _) in readers {
                world.struck(place);
                faults.redeliver(&group);
            }
        }
        Act::Expel(number) => {
            let readers = world.shared.lock().readers.clone();
            for (group, topics) in readers {
                for topic in topics {
                    world.struck(place);
                    faults.expel(&group, &Partition { topic, number });
                }
            }
        }
        Act::Linger(time) => {
            world.shared.lock().linger = Some(place);
            tokio::time::sleep(time).await;
            world.shared.lock().linger = None;
            world.end_lingering();
        }
        Act::Refuse(nth) => {
            let world = Arc::downgrade(world);
            faults.refuse(move |message| {
                let world = world.upgrade();
                let is_it = |world: &Arc<World>| world.number_of(message) == Some(nth);
                let refused = world.filter(is_it);
                refused.inspect(|world| world.struck(place)).is_some()
            });
        }
        Act::Poison(nth) => world.shared.lock().poison.push((nth, place)),
    }
}

/// Kills a host, and starts it again after a while.
async fn die(host: &Host, down: Duration) {
    host.kill();
    tokio::time::sleep(down).await;
    host.start();
}
