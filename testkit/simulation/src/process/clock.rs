//! A host's clock.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use mainstay_clock::{BootId, Clock, Monotonic, TokioClock};

use crate::{host::Life, rng::Rng, world::World};

#[derive(Debug)]
pub(super) struct HostClock {
    world: TokioClock,
    host: Arc<Life>,
    /// How long the host was up when the simulation began.
    up: Duration,
}

impl HostClock {
    pub(super) fn new(world: &World, host: Arc<Life>) -> Self {
        let up = Rng::new(world.seed, host.name()).below(1_000_000);
        Self {
            world: world.clock.clone(),
            host,
            up: Duration::from_secs(up),
        }
    }
}

impl Clock for HostClock {
    fn now(&self) -> SystemTime {
        let jumped = self.host.jumped();
        let by = Duration::from_secs(jumped.unsigned_abs());
        if jumped < 0 {
            self.world.now() - by
        } else {
            self.world.now() + by
        }
    }

    fn monotonic(&self) -> Monotonic {
        self.world.monotonic() + self.up
    }

    fn boot_id(&self) -> BootId {
        BootId::new(self.host.name())
    }
}
