//! The operating system's clocks.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use crate::{BootId, Clock, Monotonic};

/// The host's own clocks: the default everywhere.
///
/// On Linux and Android the monotonic clock is `CLOCK_BOOTTIME` and the boot id the kernel's.
/// Elsewhere it is `CLOCK_MONOTONIC` (which on macOS counts suspend too), and the boot id is
/// derived from the wall-clock time of the boot, in steps of a minute. If the wall clock is set
/// there, leases may end early. That costs a change of owner, which raises the fencing token, so
/// there are never two owners.
#[derive(Clone, Copy, Default, Debug)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The host's clocks.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one caller of now()")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_origin(since_boot())
    }

    fn boot_id(&self) -> BootId {
        static BOOT_ID: OnceLock<BootId> = OnceLock::new();
        BOOT_ID.get_or_init(read_boot_id).clone()
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const SINCE_BOOT: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
const SINCE_BOOT: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(SINCE_BOOT);
    // The kernel gives whole seconds since boot and 0..1e9 nanoseconds: neither can be negative.
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

fn read_boot_id() -> BootId {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(
        |_| {
            let since_epoch = SystemClock
                .now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            let booted = since_epoch.saturating_sub(since_boot());
            BootId::new(format!("booted-minute-{}", booted.as_secs() / 60))
        },
        |id| BootId::new(id.trim()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_never_goes_back() {
        let clock = SystemClock::new();
        let mut last = clock.monotonic();
        for _ in 0..10_000 {
            let now = clock.monotonic();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn boot_id_is_stable_within_a_boot() {
        assert_eq!(SystemClock::new().boot_id(), read_boot_id());
    }
}
