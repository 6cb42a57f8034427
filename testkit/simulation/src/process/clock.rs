//! A host's clock.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use mainstay_clock::{BootId, Clock, Monotonic, TokioClock};

use crate::host::Life;

#[derive(Debug)]
pub(super) struct HostClock {
    pub(super) world: TokioClock,
    pub(super) host: Arc<Life>,
    /// How long the host was up when the simulation began.
    pub(super) up: Duration,
}

impl Clock for HostClock {
    fn now(&self) -> SystemTime {
        let jumped = self.host.state.lock().jumped;
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
        BootId::new(&*self.host.name)
    }
}
