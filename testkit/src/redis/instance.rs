//! A server of one's own.

use std::{fmt::Write as _, fs, path::PathBuf, time::Duration};

use mainstay_clock::{IdGenerator, SystemIds};
use rustix::process::Signal;

use super::{Binaries, answer, remains};
use crate::{
    Directory, Error,
    daemon::{Daemon, RESUME, free_port},
    error::At as _,
};

/// As tests want it: reached over loopback only, empty after each start, and known by its arguments.
const SETTINGS: &[(&str, &str)] = &[
    ("bind", "127.0.0.1"),
    ("save", "\"\""),
    ("appendonly", "no"),
    ("set-proc-title", "no"),
];

/// What to start.
#[derive(Debug)]
pub struct Options {
    /// The program.
    pub binaries: Binaries,
    /// Where the server's output goes; in the instance's directory if not given.
    pub log: Option<PathBuf>,
    /// Settings on top of the usual ones, which they override.
    pub settings: Vec<(String, String)>,
}

impl Options {
    /// The usual settings.
    pub const fn new(binaries: Binaries) -> Self {
        Self {
            binaries,
            log: None,
            settings: Vec::new(),
        }
    }
}

/// A server in a directory of its own. Dropping it ends the server at once and removes the directory.
#[derive(Debug)]
pub struct Instance {
    options: Options,
    daemon: Daemon,
    port: u16,
    password: String,
}

impl Instance {
    /// Starts a server in `directory`; returns when it answers.
    pub fn start(directory: Directory, options: Options) -> Result<Self, Error> {
        let random = SystemIds::new();
        let log = options.log.clone();
        let log = log.unwrap_or_else(|| directory.join("log"));
        let pid_file = remains::pid_file(directory.path());
        let mut instance = Self {
            options,
            daemon: Daemon::new(directory, log, &pid_file, Signal::QUIT)?,
            port: 0,
            password: format!("{:016x}{:016x}", random.random(), random.random()),
        };
        let mut tries = 5;
        loop {
            instance.port = free_port()?;
            tries -= 1;
            match instance.start_again() {
                // Between finding a port and listening on it somebody else took it.
                Err(Error::Step { why, .. })
                    if tries > 0 && why.contains("Address already in use") => {}
                outcome => return outcome.map(|()| instance),
            }
        }
    }

    /// Starts the server, on the same port as before; returns when it answers. Without `appendonly` it is empty.
    pub fn start_again(&mut self) -> Result<(), Error> {
        const STEP: &str = "starting redis-server";
        let settings = self.write_settings().at(STEP)?;
        let mut command = self.daemon.command(self.options.binaries.program());
        command.arg(settings);
        let (port, password) = (self.port, self.password.clone());
        self.daemon
            .start(STEP, command, || answer::ask(port, &password))
    }

    /// In a file, since everybody can read a process's arguments.
    fn write_settings(&self) -> std::io::Result<PathBuf> {
        let directory = self.daemon.directory();
        let (path, place) = (remains::settings(directory.path()), directory.path());
        let mut text = format!(
            "port {}\nrequirepass {}\ndir {}\npidfile {}\n",
            self.port,
            self.password,
            place.display(),
            remains::pid_file(place).display()
        );
        let usual = SETTINGS.iter().copied();
        let more = self.options.settings.iter().map(|(n, v)| (&**n, &**v));
        for (name, value) in usual.chain(more) {
            // Writing to text does not fail.
            let _: Result<(), _> = writeln!(text, "{name} {value}");
        }
        fs::write(&path, text)?;
        directory.hand_over(&path)?;
        Ok(path)
    }

    /// Stops the server as an administrator does.
    pub fn stop(&mut self) -> Result<(), Error> {
        let patience = Duration::from_secs(10);
        let signals = [RESUME, (Signal::TERM, patience), (Signal::KILL, patience)];
        self.daemon.end(&signals)
    }

    /// Ends the server at once, by `kill -9`.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.daemon.end(&[(Signal::KILL, Duration::from_secs(10))])
    }

    /// Stops the process in its tracks: connections stay open, and nothing answers until [`resume`](Self::resume).
    pub fn pause(&mut self) -> Result<(), Error> {
        self.daemon.pause()
    }

    /// Lets the paused process go on.
    pub fn resume(&mut self) {
        self.daemon.resume();
    }

    /// Stops the server and removes everything.
    pub fn close(mut self) -> Result<(), Error> {
        self.end_and_clear()
    }

    pub(super) fn end_and_clear(&mut self) -> Result<(), Error> {
        self.stop()?;
        self.daemon.clear()
    }

    /// Settings for the next start, on top of the earlier ones.
    pub fn set(&mut self, settings: Vec<(String, String)>) {
        self.options.settings.extend(settings);
    }

    /// Leaves the server running when this process ends; [`super::remove`] ends it.
    pub fn leave(self) {
        self.daemon.leave();
    }

    /// Its URL, with the password.
    pub fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/0", self.password, self.port)
    }

    /// The port of 127.0.0.1 it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The server's process id; none while it is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.pid()
    }

    /// What it was started from.
    pub const fn binaries(&self) -> &Binaries {
        &self.options.binaries
    }
}
