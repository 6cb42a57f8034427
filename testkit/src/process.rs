//! Processes by their id.

use std::{thread, time::Duration};

use mainstay_clock::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Whether the process runs; one that ended and that nobody waited for does not.
pub(crate) fn runs(id: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{id}/stat")) {
        // The state follows the name, which is in parentheses and may hold anything.
        Ok(stat) => stat
            .rsplit_once(") ")
            .is_some_and(|(_, state)| !state.starts_with(['Z', 'X'])),
        Err(_) if std::path::Path::new("/proc/self").exists() => false,
        Err(_) => pid(id).is_some_and(|pid| test_kill_process(pid).is_ok()),
    }
}

/// When the process started, as the system counts: with its id it names one process for good.
pub(crate) fn started(id: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    // The 22nd field of all, the state being the third.
    fields.split(' ').nth(19).map(str::to_owned)
}

/// Whether the process runs and was started with `argument` among its arguments: ids are used again.
pub(crate) fn runs_with(id: u32, argument: &str) -> bool {
    runs(id)
        && std::fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| {
            line.split(|byte| *byte == 0)
                .any(|part| part == argument.as_bytes())
        })
}

/// Sends a signal; a process that is gone already needs none.
pub(crate) fn signal(id: u32, signal: Signal) {
    if let Some(pid) = pid(id) {
        // Fails only where the process is gone or is not ours, and the caller waits for it to be gone.
        _ = kill_process(pid, signal);
    }
}

/// Sends the signals one after the other, each with time to end; whether the process is gone.
pub(crate) fn end(id: u32, signals: &[(Signal, Duration)], gone: impl FnMut() -> bool) -> bool {
    let mut gone = gone;
    signals.iter().any(|&(with, patience)| {
        signal(id, with);
        within(patience, &mut gone)
    })
}

/// Waits for a condition of the outside world, which nothing announces.
pub(crate) fn within(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let clock = SystemClock::new();
    let until = clock.monotonic() + patience;
    loop {
        if holds() {
            return true;
        }
        if until.remaining_at(clock.monotonic()).is_zero() {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn pid(id: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(id).ok()?)
}
