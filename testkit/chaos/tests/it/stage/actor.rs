//! A role as a process.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use mainstay_testkit::{stop, within};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long a process may take to stop, or to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that plays a role; killed at the latest when it is dropped.
///
/// Its standard input is what ties it to this process: at the end of it the role finishes what it is at, and ends.
#[derive(Debug)]
pub(crate) struct Actor {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Actor {
    /// Starts a role, with what it has to say in a file of `directory`. The name is also that of its connections to the server.
    pub(crate) fn start(role: &str, name: &str, arguments: &[String], directory: &Path) -> Self {
        let log = directory.join(format!("{name}.log"));
        let child = Command::new(env!("CARGO_BIN_EXE_chaos"))
            .args([role, "--name", name])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn();
        Self {
            name: name.to_owned(),
            child: child.unwrap(),
            log,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Whether it has ended, by itself or not.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills it (SIGKILL); it is gone when this returns.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it (SIGSTOP) where it is; no thread of it runs when this returns.
    pub(crate) fn freeze(&self) {
        assert!(stop(self.child.id()), "{} does not stop", self.name);
    }

    /// Lets it go on (SIGCONT).
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Asks it to end, and does not wait for that.
    pub(crate) fn ask_to_end(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Has it finish what it is at, and end; answers with what it says of itself.
    pub(super) fn finish(mut self) -> Value {
        self.ask_to_end();
        // If not, it has no status.
        within(PATIENCE, || self.has_ended());
        let ended = self.child.try_wait().unwrap();
        let sound = ended.is_some_and(|status| status.success());
        assert!(sound, "{} ended with {ended:?}: {}", self.name, self.said());
        let (mut summary, output) = (String::new(), self.child.stdout.take());
        output.unwrap().read_to_string(&mut summary).unwrap();
        serde_json::from_str(&summary).unwrap()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Fails only where it is gone already.
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}
