//! A server of one's own.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;

use super::{Binaries, answer, remains};
use crate::{Directory, Error, account::Account, port, process, watch::Watch};

/// How long a server may take to answer: recovery after a kill is part of it.
const START: Duration = Duration::from_secs(60);

/// As tests want it: reached over loopback only, logical decoding possible, room for many connections. `fsync` and
/// `synchronous_commit` stay on: what these tests claim is durability.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("wal_level", "logical"),
    ("max_connections", "500"),
];

/// What to start.
#[derive(Debug)]
#[non_exhaustive]
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
    #[must_use]
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
    directory: Directory,
    log: PathBuf,
    port: u16,
    password: String,
    server: Option<Child>,
    watch: Option<Watch>,
}

impl Instance {
    /// Creates a cluster in `directory` and starts it; returns when it answers.
    pub fn start(directory: Directory, options: Options) -> Result<Self, Error> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)
            .map_err(|error| Error::step("drawing a password", error.to_string()))?;
        let watch = Watch::over(directory.path(), &remains::pid_file(directory.path()))?;
        let mut instance = Self {
            log: options.log.clone().unwrap_or_else(|| directory.join("log")),
            options,
            directory,
            port: 0,
            password: hex::encode(secret),
            server: None,
            watch: Some(watch),
        };
        File::create(&instance.log)
            .map_err(|error| Error::step("making the log file", error.to_string()))?;
        instance.initdb()?;
        // Between finding a port and listening on it somebody else may take it.
        for _ in 0..4 {
            instance.port = port::free()?;
            match instance.start_again() {
                Err(Error::Step { log, .. }) if log.contains("Address already in use") => {}
                outcome => return outcome.map(|()| instance),
            }
        }
        instance.port = port::free()?;
        instance.start_again().map(|()| instance)
    }

    fn initdb(&self) -> Result<(), Error> {
        const STEP: &str = "initdb";
        let failed = |error: io::Error| Error::step(STEP, error.to_string());
        let password = self.directory.join("password");
        fs::write(&password, &self.password).map_err(failed)?;
        self.directory.hand_over(&password).map_err(failed)?;
        let mut command = self.command("initdb");
        command
            .arg(format!("--pwfile={}", password.display()))
            .args(["--username=postgres", "--auth=scram-sha-256"])
            // The C locale is in every installation; only the new cluster's own files are not synced.
            .args(["--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg("-D")
            .arg(remains::data(self.directory.path()));
        let output = command.stdin(Stdio::null()).output().map_err(failed)?;
        fs::remove_file(&password).map_err(failed)?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(
            Error::step(STEP, format!("it ended with {}", output.status))
                .with_log(&String::from_utf8_lossy(&said)),
        )
    }

    /// Starts the server, on the same port and data as before; returns when it answers.
    pub fn start_again(&mut self) -> Result<(), Error> {
        const STEP: &str = "starting postgres";
        let failed = |error: io::Error| Error::step(STEP, error.to_string());
        let log = File::options()
            .append(true)
            .open(&self.log)
            .map_err(failed)?;
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(remains::data(self.directory.path()))
            .args(["-p", &self.port.to_string()])
            .args(["-k", &self.directory.path().to_string_lossy()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log);
        let usual = SETTINGS
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        for (name, value) in usual.chain(self.options.settings.iter().cloned()) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let server = self.server.insert(command.spawn().map_err(failed)?);
        let (mut ended, mut last) = (None, None);
        let ready = process::within(START, || {
            ended = server.try_wait().ok().flatten();
            last = answer::ask(self.port, &self.password).err();
            last.is_none() || ended.is_some()
        });
        let why = match (ended, last) {
            (Some(status), _) => format!("it ended with {status}"),
            (None, Some(error)) => format!("no answer in {} s: {error}", START.as_secs()),
            (None, None) if ready => return Ok(()),
            (None, None) => "no answer".to_owned(),
        };
        Err(Error::step(STEP, why).with_log(&self.log_text()))
    }

    /// Stops the server as an administrator does: open transactions are rolled back, everything is written.
    pub fn stop(&mut self) -> Result<(), Error> {
        let patience = Duration::from_secs(30);
        self.end(&[(Signal::INT, patience), (Signal::QUIT, patience)])
    }

    /// Ends the server at once, as `pg_ctl stop -m immediate` does: the next start recovers.
    pub fn kill(&mut self) -> Result<(), Error> {
        let patience = Duration::from_secs(10);
        self.end(&[(Signal::QUIT, patience), (Signal::KILL, patience)])
    }

    fn end(&mut self, signals: &[(Signal, Duration)]) -> Result<(), Error> {
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        let gone = process::end(server.id(), signals, || {
            matches!(server.try_wait(), Ok(Some(_)))
        });
        if !gone {
            return Err(
                Error::step("stopping postgres", "it does not end").with_log(&self.log_text())
            );
        }
        self.server = None;
        Ok(())
    }

    /// Stops the server and removes everything.
    pub fn close(mut self) -> Result<(), Error> {
        self.end_and_clear()
    }

    pub(super) fn end_and_clear(&mut self) -> Result<(), Error> {
        self.stop()?;
        self.clear()
    }

    /// Settings for the next start, on top of the earlier ones.
    pub fn set(&mut self, settings: Vec<(String, String)>) {
        self.options.settings.extend(settings);
    }

    fn clear(&mut self) -> Result<(), Error> {
        if let Some(watch) = self.watch.take() {
            let removed = remains::clear(self.directory.path());
            watch.dismiss();
            return removed;
        }
        Ok(())
    }

    /// Leaves the server running when this process ends; [`super::remove`] ends it.
    pub fn leave(mut self) {
        self.server = None;
        if let Some(watch) = self.watch.take() {
            self.directory.disown();
            watch.dismiss();
        }
    }

    /// A program of PostgreSQL, as the user that servers run as.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.options.binaries.directory.join(program));
        Account::runs(self.directory.account(), &mut command);
        // Ctrl-C is for the tests. Messages are read, so they come in one language.
        command
            .process_group(0)
            .current_dir(self.directory.path())
            .env("LC_ALL", "C");
        command
    }

    fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The URL of its database `postgres`, with the superuser's password.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "postgres://postgres:{}@127.0.0.1:{}/postgres",
            self.password, self.port
        )
    }

    /// The port of 127.0.0.1 it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The server's process id; none while it is stopped.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// What it was started from.
    #[must_use]
    pub const fn binaries(&self) -> &Binaries {
        &self.options.binaries
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.watch.is_some() {
            // The watcher does what fails here, or the next `cargo xtask services up`.
            drop(self.kill());
            drop(self.clear());
        }
    }
}
