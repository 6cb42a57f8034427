//! A server of one's own.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use mainstay_clock::{IdGenerator, SystemIds};
use rustix::process::Signal;

use super::{
    Binaries, answer, remains,
    settings::{self, Further, Ports},
};
use crate::{
    Directory, Error,
    daemon::{Daemon, RESUME, free_port},
    error::At as _,
};

/// Small and soon there; and no file outside of the instance's directory.
const JVM: [&str; 4] = [
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
];

/// What to start.
#[derive(Debug)]
pub struct Options {
    /// Java and the libraries.
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
    ports: Ports,
    further: Option<Further>,
}

impl Instance {
    /// Starts a server of an empty cluster in `directory`; returns when it answers.
    pub fn start(directory: Directory, options: Options) -> Result<Self, Error> {
        let log = options.log.clone();
        let log = log.unwrap_or_else(|| directory.join("log"));
        let pid_file = remains::pid_file(directory.path());
        // Java takes SIGQUIT for a question.
        let daemon = Daemon::new(directory, log, &pid_file, Signal::KILL)?;
        let mut instance = Self {
            options,
            daemon,
            ports: Ports::default(),
            further: None,
        };
        instance.take_ports()?;
        instance.format()?;
        let mut tries = 5;
        loop {
            tries -= 1;
            match instance.start_again() {
                // Between finding a port and listening on it somebody else took it.
                Err(Error::Step { why, .. })
                    if tries > 0 && why.contains("Address already in use") =>
                {
                    instance.take_ports()?;
                }
                outcome => return outcome.map(|()| instance),
            }
        }
    }

    fn take_ports(&mut self) -> Result<(), Error> {
        self.ports.clients = free_port()?;
        self.ports.controller = free_port()?;
        Ok(())
    }

    fn format(&self) -> Result<(), Error> {
        const STEP: &str = "formatting the storage of Kafka";
        let (random, settings) = (SystemIds::new(), self.write_settings().at(STEP)?);
        // 22 digits of Base64, of which these are some; the last one has four bits that do not count.
        let last = random.random() >> 44;
        let id = format!("{:016x}{last:05x}A", random.random());
        let mut command = self.java("kafka.tools.StorageTool");
        command.args(["format", "-t", &id, "-c"]).arg(settings);
        let output = command.output().at(STEP)?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let why = format!("it ended with {}", output.status);
        Err(Error::step(STEP, why).with_log(&String::from_utf8_lossy(&said)))
    }

    /// Starts the server, on the same ports and data as before; returns when it answers.
    pub fn start_again(&mut self) -> Result<(), Error> {
        const STEP: &str = "starting Kafka";
        let settings = self.write_settings().at(STEP)?;
        let mut command = self.java("kafka.Kafka");
        command.arg(settings);
        let port = self.port();
        self.daemon.start(STEP, command, || answer::ask(port))
    }

    /// A program of Kafka's, which writes its process id to the file that names it: Kafka itself does not.
    fn java(&self, class: &str) -> Command {
        let (directory, binaries) = (self.daemon.directory(), &self.options.binaries);
        let mut command = self.daemon.command("sh");
        command
            .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
            .arg(remains::pid_file(directory.path()))
            .arg(&binaries.java)
            .args(JVM)
            .arg(format!("-Djava.io.tmpdir={}", directory.path().display()))
            .arg(format!(
                "-Dlog4j2.configurationFile=file:{}",
                remains::logging(directory.path()).display()
            ))
            .arg("-cp")
            .arg(binaries.directory.join("*"))
            .arg(class);
        command
    }

    fn write_settings(&self) -> std::io::Result<PathBuf> {
        let directory = self.daemon.directory();
        let (path, data) = (
            remains::settings(directory.path()),
            directory.path().join("data"),
        );
        let (further, more) = (self.further.as_ref(), &self.options.settings);
        let text = settings::text(&data, self.ports, further, more);
        let logging = remains::logging(directory.path());
        for (path, text) in [(&path, &*text), (&logging, settings::LOGGING)] {
            fs::write(path, text)?;
            directory.hand_over(path)?;
        }
        Ok(path)
    }

    /// Stops the server as an administrator does: everything is written.
    pub fn stop(&mut self) -> Result<(), Error> {
        let patience = Duration::from_secs(30);
        let signals = [RESUME, (Signal::TERM, patience), (Signal::KILL, patience)];
        self.daemon.end(&signals)
    }

    /// Ends the server at once, by `kill -9`: the next start recovers.
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

    /// Ends the server and removes everything.
    pub fn close(mut self) -> Result<(), Error> {
        self.end_and_clear()
    }

    pub(super) fn end_and_clear(&mut self) -> Result<(), Error> {
        // What it would write is removed.
        self.kill()?;
        self.daemon.clear()
    }

    /// Settings for the next start, on top of the earlier ones.
    pub fn set(&mut self, settings: Vec<(String, String)>) {
        self.options.settings.extend(settings);
    }

    /// From the next start on, clients may also use the listener `FURTHER` with this protocol, as
    /// `SASL_PLAINTEXT`, at the port that is returned.
    pub fn listen_also(&mut self, protocol: &str) -> Result<u16, Error> {
        let (port, protocol) = (free_port()?, protocol.to_owned());
        self.further = Some(Further { port, protocol });
        Ok(port)
    }

    /// Leaves the server running when this process ends; [`super::remove`] ends it.
    pub fn leave(self) {
        self.daemon.leave();
    }

    /// What clients are told, as `127.0.0.1:9092`.
    pub fn url(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// The port of 127.0.0.1 it listens on for clients.
    pub const fn port(&self) -> u16 {
        self.ports.clients
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
