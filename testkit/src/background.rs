//! Processes that outlive the one that started them.

use std::{fs::File, io, os::unix::process::CommandExt as _, process::Command, time::Duration};

use rustix::process::Signal;

use crate::process;

/// A process by its id and the time of its start, which together name one process for good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Background {
    /// Its id.
    pub pid: u32,
    /// When it started, as the system counts.
    pub started: String,
}

impl Background {
    /// Starts a process that Ctrl-C does not reach, with its output in these files.
    pub fn start(mut command: Command, stdout: File, stderr: File) -> io::Result<Self> {
        let command = command.process_group(0).stdin(std::process::Stdio::null());
        let child = command.stdout(stdout).stderr(stderr).spawn()?;
        let pid = child.id();
        let started = process::started(pid);
        let started = started.ok_or_else(|| io::Error::other("the process cannot be seen"))?;
        Ok(Self { pid, started })
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        process::runs(self.pid) && process::started(self.pid).as_ref() == Some(&self.started)
    }

    /// Ends it by SIGTERM or, if that takes longer than `patience`, by SIGKILL; whether it is gone.
    pub fn stop(&self, patience: Duration) -> bool {
        const AT_LAST: Duration = Duration::from_secs(10);
        let gone = || !self.runs();
        gone() || {
            let signals = [(Signal::TERM, patience), (Signal::KILL, AT_LAST)];
            process::end(self.pid, &signals, gone)
        }
    }
}
