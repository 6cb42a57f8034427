//! A kind of server: how it is found, started, left running and removed.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use mainstay_testkit::{Directory, Error};

use super::{Place, Running};

/// What differs from one kind of server to the next.
pub(crate) struct Service {
    /// As `MAINSTAY_REQUIRE` lists it.
    pub(crate) name: &'static str,
    /// As a sentence has it.
    pub(crate) title: &'static str,
    /// The environment variable of the URL.
    pub(super) variable: &'static str,
    /// The environment variable of the directory of its programs.
    pub(super) programs: &'static str,
    /// What suites have where there is no such server.
    pub(crate) instead: Option<&'static str>,
    /// The major version to start, given that of PostgreSQL that was asked for; none = any.
    pub(super) version: fn(Option<u32>) -> Result<Option<u32>, Error>,
    /// Finds the programs, of a major version, or installs them.
    pub(super) prepare: fn(Option<u32>) -> Result<Programs, Error>,
    /// The process id, if one runs in this directory.
    pub(super) runs: fn(&Path) -> Option<u32>,
    /// Whether one on this port answers.
    pub(super) answers: fn(u16) -> bool,
    /// Ends the one in this directory, and removes the directory.
    pub(super) remove: fn(&Path) -> Result<(), Error>,
    /// The same for those whose owner is gone.
    pub(super) remove_abandoned: fn() -> Result<usize, Error>,
}

/// Starts a server in a directory, with its log in this file, to stay or for one run of tests.
type Start = Box<dyn FnOnce(Directory, PathBuf, bool) -> Result<Box<dyn Started>, Error>>;

/// Programs of a server.
pub(super) struct Programs {
    pub(super) directory: PathBuf,
    pub(super) version: String,
    pub(super) found: String,
    pub(super) start: Start,
}

/// A server that is a child of this process.
pub(super) trait Started: Send {
    fn pid(&self) -> Option<u32>;
    fn port(&self) -> u16;
    fn url(&self) -> String;
    fn leave(self: Box<Self>);
    fn close(self: Box<Self>) -> Result<(), Error>;
}

/// Says that a server of the test kit is one: each kind has the same methods.
macro_rules! started {
    ($instance:ty) => {
        impl $crate::services::service::Started for $instance {
            fn pid(&self) -> Option<u32> {
                self.pid()
            }

            fn port(&self) -> u16 {
                self.port()
            }

            fn url(&self) -> String {
                self.url()
            }

            fn leave(self: Box<Self>) {
                (*self).leave();
            }

            fn close(self: Box<Self>) -> Result<(), mainstay_testkit::Error> {
                (*self).close()
            }
        }
    };
}
pub(super) use started;

/// The server of one run of tests.
pub(crate) struct Server {
    service: &'static Service,
    pub(crate) running: Running,
    /// If it was started for this run, and goes with it.
    instance: Option<Box<dyn Started>>,
}

impl Server {
    /// What tells the tests of it; those that start servers of their own take the same version.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let Running { url, binaries, .. } = &self.running;
        let url = url.iter().map(|url| (self.service.variable, url.into()));
        let binaries = binaries.iter();
        let binaries = binaries.map(|directory| (self.service.programs, directory.into()));
        url.chain(binaries).collect()
    }

    /// What it is, for the report.
    pub(crate) fn what(&self) -> String {
        let Running { version, found, .. } = &self.running;
        let version = version.as_deref().unwrap_or("of unknown version");
        let since = match self.instance {
            Some(_) => "started for them",
            None => "which ran already",
        };
        format!("{} {version} ({found}), {since}", self.service.title)
    }

    pub(crate) fn close(self) -> Result<()> {
        Ok(self.instance.map_or(Ok(()), Started::close)?)
    }
}

impl Service {
    /// The server in the environment, the one that `up` started if its version fits, or a new one, which `stays` or goes
    /// with the value.
    pub(crate) fn server(
        &'static self,
        place: &Place,
        wanted: Option<u32>,
        stays: bool,
    ) -> Result<Server> {
        let _guard = place.lock(self.name)?;
        let wanted = (self.version)(wanted)?;
        let found = |running, instance| Server {
            service: self,
            running,
            instance,
        };
        let running = self.status(place);
        if running.url.is_some() && fits(&running, wanted) {
            return Ok(found(running, None));
        }
        if running.url.is_some() && stays {
            let (title, version) = (self.title, running.version.unwrap_or_default());
            bail!("{title} {version} runs already; `cargo xtask services down` first");
        }
        self.clear_remains(place)?;
        let programs = (self.prepare)(wanted)?;
        let directory = Directory::new(self.name)?;
        let suffix = if stays { "" } else { "-test" };
        let log = place.file(&format!("{}{suffix}.log", self.name));
        let mut running = Running {
            found: programs.found,
            version: Some(programs.version),
            data: Some(directory.path().to_owned()),
            binaries: Some(programs.directory),
            log: Some(log.clone()),
            ..self.nothing()
        };
        // Written before there is anything to clean up.
        if stays {
            place.write(&self.state(), &running)?;
        }
        let started = match (programs.start)(directory, log, stays) {
            Ok(started) => started,
            Err(error) => {
                if stays {
                    self.clear(place)?;
                }
                return Err(error.into());
            }
        };
        running.pid = started.pid();
        running.port = Some(started.port());
        running.url = Some(started.url());
        if !stays {
            return Ok(found(running, Some(started)));
        }
        place.write(&self.state(), &running)?;
        started.leave();
        Ok(found(running, None))
    }

    /// Whether something ran that does not any more.
    pub(crate) fn down(&self, place: &Place) -> Result<bool> {
        let _guard = place.lock(self.name)?;
        self.clear(place)
    }

    /// The server of the environment, unasked, since only the suites know how they reach it; or ours, if it answers.
    pub(crate) fn status(&self, place: &Place) -> Running {
        if let Some(url) = env::var(self.variable).ok().filter(|url| !url.is_empty()) {
            return Running {
                url: Some(url),
                found: self.variable.to_owned(),
                ..self.nothing()
            };
        }
        place
            .read(&self.state())
            .filter(|state| self.is_up(state) == Some(true))
            .unwrap_or_else(|| self.nothing())
    }

    fn is_up(&self, state: &Running) -> Option<bool> {
        let pid = (self.runs)(state.data.as_ref()?)?;
        Some(state.pid == Some(pid) && (self.answers)(state.port?))
    }

    fn state(&self) -> String {
        format!("{}.json", self.name)
    }

    fn nothing(&self) -> Running {
        Running {
            service: self.name.to_owned(),
            variable: self.variable.to_owned(),
            ..Running::default()
        }
    }

    /// Removes what killed runs left: a state whose server does not answer, and directories whose owner is gone.
    fn clear_remains(&self, place: &Place) -> Result<()> {
        let stale = self.status(place).url.is_none() && self.clear(place)?;
        let abandoned = (self.remove_abandoned)()?;
        if stale || abandoned > 0 {
            eprintln!("removed what an earlier run left behind");
        }
        Ok(())
    }

    /// Stops and removes what the state tells of, running or not.
    fn clear(&self, place: &Place) -> Result<bool> {
        let directory = place.read(&self.state()).and_then(|state| state.data);
        if let Some(directory) = &directory {
            (self.remove)(directory)?;
        }
        place.forget(&self.state())?;
        Ok(directory.is_some())
    }
}

/// Whether it is of the version asked for; nobody knows that of a server in the environment.
fn fits(running: &Running, wanted: Option<u32>) -> bool {
    match (wanted, &running.version) {
        (Some(wanted), Some(version)) => version.split('.').next() == Some(&*wanted.to_string()),
        _ => true,
    }
}
