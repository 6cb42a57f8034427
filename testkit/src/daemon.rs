//! A server as a child of this process.

mod port;
mod watch;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;

use crate::{Directory, Error, error::At as _, process};

pub(crate) use port::free as free_port;
pub(crate) use watch::Watch;

/// How long a server may take to answer: recovery after a kill is part of it.
const START: Duration = Duration::from_secs(60);

/// A paused server hears nothing else, but for SIGKILL.
pub(crate) const RESUME: (Signal, Duration) = (Signal::CONT, Duration::ZERO);

/// A server in a directory of its own. Dropping it ends the server at once and removes the directory.
#[derive(Debug)]
pub(crate) struct Daemon {
    directory: Directory,
    log: PathBuf,
    child: Option<Child>,
    /// Ends the server at once; SIGKILL follows where it does not.
    at_once: Signal,
    /// None when there is nothing to clean up any more.
    watch: Option<Watch>,
}

impl Daemon {
    /// A place for a server that writes its process id to `pid_file` and that `at_once` ends.
    pub(crate) fn new(
        directory: Directory,
        log: PathBuf,
        pid_file: &Path,
        at_once: Signal,
    ) -> Result<Self, Error> {
        File::create(&log).at("making the log file")?;
        let watch = Watch::over(directory.path(), pid_file, at_once)?;
        Ok(Self {
            directory,
            log,
            child: None,
            at_once,
            watch: Some(watch),
        })
    }

    /// A program that runs as the user of servers.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        self.directory.account().run(&mut command);
        // Ctrl-C is for the tests. Messages are read, so they come in one language.
        command
            .process_group(0)
            .current_dir(self.directory.path())
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// Starts the server; returns when `ask` has an answer.
    pub(crate) fn start(
        &mut self,
        step: &'static str,
        mut command: Command,
        ask: impl Fn() -> io::Result<()>,
    ) -> Result<(), Error> {
        let log = File::options().append(true).open(&self.log).at(step)?;
        command.stdout(log.try_clone().at(step)?).stderr(log);
        let child = self.child.insert(command.spawn().at(step)?);
        let (mut ended, mut answer) = (None, Ok(()));
        process::within(START, || {
            ended = child.try_wait().ok().flatten();
            answer = ask();
            answer.is_ok() || ended.is_some()
        });
        let why = match (ended, answer) {
            (Some(status), _) => format!("it ended with {status}"),
            (None, Err(error)) => format!("no answer in {} s: {error}", START.as_secs()),
            (None, Ok(())) => return Ok(()),
        };
        Err(Error::step(step, why).with_log(&self.said()))
    }

    /// Ends the server by the first of these signals that does it in time.
    pub(crate) fn end(&mut self, signals: &[(Signal, Duration)]) -> Result<(), Error> {
        if let Some(child) = &mut self.child {
            let ended = process::end(child.id(), signals, || {
                matches!(child.try_wait(), Ok(Some(_)))
            });
            if !ended {
                let error = Error::step("stopping the server", "it does not end");
                return Err(error.with_log(&self.said()));
            }
            self.child = None;
        }
        Ok(())
    }

    /// Stops the process where it is; no thread of it runs when this returns.
    pub(crate) fn pause(&self) -> Result<(), Error> {
        if let Some(child) = &self.child
            && !process::stop(child.id())
        {
            let error = Error::step("pausing the server", "it does not stop");
            return Err(error.with_log(&self.said()));
        }
        Ok(())
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        if let Some(child) = &self.child {
            process::signal(child.id(), Signal::CONT);
        }
    }

    /// Removes everything.
    pub(crate) fn clear(&mut self) -> Result<(), Error> {
        let Some(watch) = self.watch.take() else {
            return Ok(());
        };
        let removed = remove(self.directory.path());
        watch.dismiss();
        removed
    }

    /// Leaves the server running when this process ends.
    pub(crate) fn leave(mut self) {
        self.child = None;
        if let Some(watch) = self.watch.take() {
            self.directory.disown();
            watch.dismiss();
        }
    }

    pub(crate) const fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(10);
        if self.watch.is_some() {
            // The watcher does what fails here, or the next `cargo xtask services up`.
            drop(self.end(&[RESUME, (self.at_once, PATIENCE), (Signal::KILL, PATIENCE)]));
            drop(self.clear());
        }
    }
}

/// Removes a directory, unless it is gone.
pub(crate) fn remove(directory: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::step("removing the data", error))
        }
        _ => Ok(()),
    }
}
