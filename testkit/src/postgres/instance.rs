//! A server of one's own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use mainstay_clock::{IdGenerator, SystemIds};
use rustix::process::Signal;

use super::{Binaries, answer, remains};
use crate::{
    Directory, Error,
    daemon::{Daemon, free_port},
    error::At as _,
};

/// As tests want it: reached over loopback only, logical decoding possible, room for the connections of suites that run side
/// by side. `fsync` and `synchronous_commit` stay on: what these tests claim is durability.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("wal_level", "logical"),
    ("max_connections", "500"),
    ("password_encryption", "scram-sha-256"),
];

/// What to start.
#[derive(Debug)]
pub struct Options {
    /// The programs.
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
    /// Creates a cluster in `directory` and starts it; returns when it answers.
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
        instance.initdb()?;
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

    fn initdb(&self) -> Result<(), Error> {
        const STEP: &str = "initdb";
        let directory = self.daemon.directory();
        let password = directory.join("password");
        fs::write(&password, &self.password).at(STEP)?;
        directory.hand_over(&password).at(STEP)?;
        let mut command = self.command("initdb");
        command
            .arg(format!("--pwfile={}", password.display()))
            // A login with SCRAM is 4,096 hashes, most of what starting a shop costs. Only the superuser has another
            // password: `md5` uses SCRAM for the roles that have such a one.
            .args(["--username=postgres", "--auth=md5"])
            // The C locale is in every installation; only the new cluster's own files are not synced.
            .args(["--encoding=UTF8", "--locale=C", "--no-sync"]);
        let output = command.output().at(STEP)?;
        fs::remove_file(&password).at(STEP)?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let why = format!("it ended with {}", output.status);
        Err(Error::step(STEP, why).with_log(&String::from_utf8_lossy(&said)))
    }

    /// Starts the server, on the same port and data as before; returns when it answers.
    pub fn start_again(&mut self) -> Result<(), Error> {
        let mut command = self.command("postgres");
        command
            .args(["-p", &self.port.to_string()])
            .args([Path::new("-k"), self.daemon.directory().path()]);
        let usual = SETTINGS.iter().copied();
        let more = self.options.settings.iter().map(|(n, v)| (&**n, &**v));
        for (name, value) in usual.chain(more) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let port = self.port;
        self.daemon
            .start("starting postgres", command, || answer::ask(port))
    }

    /// Stops the server as an administrator does: open transactions are rolled back, everything is written.
    pub fn stop(&mut self) -> Result<(), Error> {
        let patience = Duration::from_secs(30);
        let signals = [(Signal::INT, patience), (Signal::QUIT, patience)];
        self.daemon.end(&signals)
    }

    /// Ends the server at once, as `pg_ctl stop -m immediate` does: the next start recovers.
    pub fn kill(&mut self) -> Result<(), Error> {
        let patience = Duration::from_secs(10);
        let signals = [(Signal::QUIT, patience), (Signal::KILL, patience)];
        self.daemon.end(&signals)
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

    /// A program of PostgreSQL on the instance's data.
    fn command(&self, program: &str) -> Command {
        let program = self.options.binaries.directory.join(program);
        let mut command = self.daemon.command(program);
        command.arg("-D");
        command.arg(remains::data(self.daemon.directory().path()));
        command
    }

    /// The URL of its database `postgres`, with the superuser's password.
    pub fn url(&self) -> String {
        let Self { password, port, .. } = self;
        format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres")
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
