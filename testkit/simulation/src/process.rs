//! One life of a host, and its calls to the outside.

mod broker;
mod clock;
mod database;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::ready,
    time::Duration,
};

use mainstay_clock::{Clock, IdGenerator};
use mainstay_database::memory::Database;
use mainstay_messaging::{Error, Group, Message, StartAt, Topic};
use tokio_util::sync::CancellationToken;

use crate::{
    host::Life,
    plan::{CallFault, Port, Reach},
    rng::{Rng, ids},
    world::{LifeOf, World},
};
pub use broker::{HostConsumer, HostPublisher};
use clock::HostClock;

/// How many milliseconds the farthest host is away.
const FARTHEST: u64 = 128;

/// One life of a host: from a start to the next kill or end.
///
/// Everything with which the service reaches the outside comes from here, so that the faults of the
/// plan can take effect in between.
#[derive(Clone, Debug)]
pub struct Process {
    world: Arc<World>,
    host: Arc<Life>,
    life: u64,
    ids: Arc<dyn IdGenerator>,
    /// The latency of its calls. Without any, no other event could come in between.
    distance: Duration,
}

impl Process {
    pub(crate) fn new(world: Arc<World>, host: Arc<Life>, life: u64) -> Self {
        let rng = Rng::new(world.seed, &format!("distance of {}", host.name));
        let distance = if rng.one_in(2) {
            Duration::ZERO
        } else {
            rng.millis(FARTHEST)
        };
        Self {
            ids: Arc::new(ids(world.seed, &host.name, life)),
            world,
            host,
            life,
            distance,
        }
    }

    /// The host's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.host.name
    }

    /// The number of this life of the host, from 1.
    #[must_use]
    pub const fn life(&self) -> u64 {
        self.life
    }

    fn life_of(&self) -> LifeOf {
        (self.host.index, self.life)
    }

    /// Cancelled when the host is asked to shut down.
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.host.state.lock().shutdown.clone()
    }

    /// The simulation's database, as this host reaches it.
    ///
    /// Each call gives a handle of its own: a commit notifies only the outbox that was opened with
    /// the same handle.
    #[must_use]
    pub fn database(&self) -> Database {
        self.world.database.through(Arc::new(self.clone()))
    }

    /// A publisher to the simulation's broker.
    #[must_use]
    pub fn publisher(&self) -> HostPublisher {
        HostPublisher {
            process: self.clone(),
            publisher: self.world.broker.publisher(),
        }
    }

    /// A member of a group on the simulation's broker.
    ///
    /// # Errors
    /// Those of the simulated broker. Faults on the way appear as events of the consumer.
    pub async fn consumer(
        &self,
        group: &Group,
        topics: &[Topic],
        start_at: StartAt,
    ) -> Result<HostConsumer, Error> {
        let consumer = self.world.broker.consumer(group.clone()).start_at(start_at);
        let consumer = consumer.subscribe(topics.iter().cloned()).await?;
        let mut shared = self.world.shared.lock();
        let read = shared.readers.entry(group.clone()).or_default();
        read.extend(topics.iter().cloned());
        drop(shared);
        Ok(HostConsumer {
            process: self.clone(),
            consumer,
            group: group.clone(),
            on_its_way: None,
        })
    }

    /// The host's clock. Its wall time may jump, and its monotonic time has an origin of its own.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        let up = Rng::new(self.world.seed, self.name()).below(1_000_000);
        Arc::new(HostClock {
            world: self.world.clock.clone(),
            host: Arc::clone(&self.host),
            up: Duration::from_secs(up),
        })
    }

    /// Ids and randomness that follow from the seed: one sequence for this life.
    #[must_use]
    pub fn ids(&self) -> Arc<dyn IdGenerator> {
        Arc::clone(&self.ids)
    }

    /// The fault that this call of a handler shall have. Call it first in a handler. A stall has passed
    /// when it returns.
    pub async fn handles(&self, message: &Message) -> Option<CallFault> {
        let fault = self.pass(Port::Handle).await;
        if fault.is_none() && self.is_poison(message) {
            return Some(CallFault::Lost);
        }
        fault
    }

    fn is_poison(&self, message: &Message) -> bool {
        let number = self.world.number_of(message);
        let poison = self.world.shared.lock().poison.clone();
        let mut poison = poison.into_iter().filter(|(nth, _)| Some(*nth) == number);
        let first = poison.next();
        first
            .inspect(|(_, place)| self.world.struck(*place))
            .is_some()
    }

    /// Waits while the host is paused, and for ever once this life is over. A port of your own calls
    /// it before and after each call.
    pub async fn awake(&self) {
        poll_fn(|context| self.host.poll_awake(self.life, context)).await;
    }

    /// Runs `future` only while the host is awake.
    pub(crate) async fn gate<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            ready!(self.host.poll_awake(self.life, context));
            future.as_mut().poll(context)
        })
        .await
    }

    /// Waits for the latency of a call to database or broker.
    async fn travel(&self) {
        if !self.distance.is_zero() {
            self.wait(self.distance).await;
        }
    }

    /// Waits for this time, and for the end of a pause after it.
    async fn wait(&self, time: Duration) {
        tokio::time::sleep(time).await;
        self.awake().await;
    }

    /// Sends a call: waits out a stall, and returns any other fault of the call.
    async fn pass(&self, port: Port) -> Option<CallFault> {
        self.awake().await;
        let fault = self.fault(port);
        if let Some(CallFault::Stall(time)) = fault {
            self.wait(time).await;
            return None;
        }
        fault
    }

    /// Counts a call, and returns its fault.
    fn fault(&self, port: Port) -> Option<CallFault> {
        let (call, struck) = self.host.call(port);
        let number = self.host.index << 40 | (port as u64) << 32 | u64::from(call);
        self.world
            .note(number, || format!("{} {port:?} {call}", self.host.name));
        if self.world.is_exhausted() {
            self.world
                .broken("a host loops without waiting for time".to_owned());
            self.host.kill();
        }
        let (fault, place) = struck.filter(|_| !self.world.shared.lock().healed)?;
        self.world.struck(place);
        Some(fault)
    }

    /// Whether this host is cut off from this target.
    fn is_cut(&self, from: Reach) -> bool {
        let down = self.world.shared.lock().broker_down;
        let down = down.map(|place| (Reach::Broker, Some(place)));
        let here = |(cut, _): &(Reach, _)| [from, Reach::Everything].contains(cut);
        let cut = self
            .host
            .state
            .lock()
            .cut
            .filter(here)
            .or(down.filter(here));
        if let Some((_, Some(place))) = cut {
            self.world.struck(place);
        }
        cut.is_some()
    }
}
