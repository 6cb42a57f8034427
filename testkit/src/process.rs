//! Processes by their id, as Linux shows them.

use std::{fs, path::Path, thread, time::Duration};

use mainstay_clock::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};

/// What the system says of a process, or of one of its threads, in this directory: what follows its
/// name, which may hold anything; first its state.
fn status_in(directory: impl AsRef<Path>) -> Option<Vec<String>> {
    let stat = fs::read_to_string(directory.as_ref().join("stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

fn status(id: u32) -> Option<Vec<String>> {
    status_in(format!("/proc/{id}"))
}

/// Whether the process runs; one that ended and that nobody waited for does not. A killed one is a zombie before its other
/// threads have ended, and until then it keeps its files and ports.
pub(crate) fn runs(id: u32) -> bool {
    const THREADS: usize = 17;
    status(id).is_some_and(|fields| {
        let has_ended = matches!(fields.first().map(|state| &**state), Some("Z" | "X"));
        let threads = fields.get(THREADS).and_then(|count| count.parse().ok());
        !has_ended || threads > Some(1)
    })
}

/// When the process started, as the system counts: with its id it names one process for good.
pub(crate) fn started(id: u32) -> Option<String> {
    status(id)?.into_iter().nth(19)
}

/// Whether the process runs and was started with this argument: ids are used again.
pub(crate) fn runs_with(id: u32, argument: &str) -> bool {
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let mut arguments = line.split(|byte| *byte == 0);
    runs(id) && arguments.any(|part| part == argument.as_bytes())
}

/// Sends the signals one after the other, each with time to end; whether the process is gone.
pub(crate) fn end(id: u32, signals: &[(Signal, Duration)], mut gone: impl FnMut() -> bool) -> bool {
    signals.iter().any(|&(to_send, patience)| {
        signal(id, to_send);
        within(patience, &mut gone)
    })
}

/// Sends a signal.
pub(crate) fn signal(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // Fails only where the process is gone or is not ours.
        _ = kill_process(pid, signal);
    }
}

/// Stops a process (SIGSTOP), and waits until no thread of it runs: on a busy machine threads go on
/// for a while. Whether it stands still.
pub fn stop(id: u32) -> bool {
    signal(id, Signal::STOP);
    within(Duration::from_secs(60), || stands_still(id))
}

/// Whether each of its threads is stopped.
fn stands_still(id: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else {
        return false;
    };
    threads.flatten().all(|thread| {
        status_in(thread.path()).is_some_and(|fields| fields.first().is_some_and(|it| it == "T"))
    })
}

/// Waits for a condition of the outside world, which nothing announces.
pub fn within(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let clock = SystemClock::new();
    let until = clock.monotonic() + patience;
    loop {
        if holds() {
            return true;
        }
        if until.has_passed_at(clock.monotonic()) {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}
