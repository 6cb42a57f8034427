//! A role as a process.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use mainstay_clock::{Clock as _, SystemClock};
use rustix::process::{Pid, Signal, kill_process};

use crate::Failure;

/// How long a process may take to stop, or to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that plays a role; killed at the latest when it is dropped.
///
/// Its standard input is what ties it to this process: at the end of it the role finishes what it is at, and ends.
#[derive(Debug)]
pub struct Actor {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Actor {
    /// Starts `program` in `role`, with what it has to say in a file of `directory`.
    ///
    /// The name is also that of its connections to the server.
    pub fn start(
        program: &Path,
        role: &str,
        name: &str,
        arguments: &[String],
        directory: &Path,
    ) -> Result<Self, Failure> {
        let log = directory.join(format!("{name}.log"));
        let failed = |error| Failure::process(format!("{name} does not start"), error);
        let child = Command::new(program)
            .args([role, "--name", name])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has said so far.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it has ended, by itself or not.
    pub fn has_ended(&mut self) -> Result<bool, Failure> {
        let ended = self.child.try_wait();
        let failed = |error| Failure::process(format!("{} cannot be watched", self.name), error);
        ended.map(|status| status.is_some()).map_err(failed)
    }

    /// Kills it (SIGKILL); it is gone when this returns.
    pub fn kill(mut self) -> Result<(), Failure> {
        self.end()
            .map_err(|error| Failure::process(format!("{} cannot be killed", self.name), error))
    }

    /// Stops it (SIGSTOP) where it is; no thread of it runs when this returns.
    pub fn freeze(&self) -> Result<(), Failure> {
        self.signal(Signal::STOP)?;
        self.within("does not stop", || self.is_frozen())
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) -> Result<(), Failure> {
        self.signal(Signal::CONT)
    }

    /// Asks it to end, and does not wait for that.
    pub fn ask_to_end(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Has it finish what it is at, and end; answers with what it says of itself.
    pub fn finish(mut self) -> Result<serde_json::Value, Failure> {
        self.ask_to_end();
        let mut ended = None;
        let clock = SystemClock::new();
        let until = clock.monotonic() + PATIENCE;
        while ended.is_none() && !until.has_passed_at(clock.monotonic()) {
            ended = self
                .child
                .try_wait()
                .map_err(|error| Failure::process("a process cannot be waited for", error))?;
            thread::sleep(Duration::from_millis(5));
        }
        let mut summary = String::new();
        if ended.is_some_and(|status| status.success())
            && let Some(mut output) = self.child.stdout.take()
        {
            output
                .read_to_string(&mut summary)
                .map_err(|error| Failure::process("no summary", error))?;
            return serde_json::from_str(&summary).map_err(|_| Failure::Unreadable(summary));
        }
        Err(Failure::Process {
            what: format!("{} ended with {ended:?}: {}", self.name, self.said()),
            source: None,
        })
    }

    fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let failed =
            |error: io::Error| Failure::process(format!("{} gets no signal", self.name), error);
        let id = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        kill_process(id, signal).map_err(|error| failed(error.into()))
    }

    /// Whether each of its threads is stopped.
    fn is_frozen(&self) -> bool {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.child.id())) else {
            return false;
        };
        threads.flatten().all(|thread| {
            // The state follows the name, which is in parentheses and may hold anything.
            fs::read_to_string(thread.path().join("stat")).is_ok_and(|stat| {
                stat.rsplit_once(") ")
                    .is_some_and(|(_, state)| state.starts_with('T'))
            })
        })
    }

    fn within(&self, complaint: &str, holds: impl Fn() -> bool) -> Result<(), Failure> {
        let clock = SystemClock::new();
        let until = clock.monotonic() + PATIENCE;
        while !holds() {
            if until.has_passed_at(clock.monotonic()) {
                return Err(Failure::Process {
                    what: format!("{} {complaint}", self.name),
                    source: None,
                });
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Fails only where it is gone already.
        drop(self.end());
    }
}
