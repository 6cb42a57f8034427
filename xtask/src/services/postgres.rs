//! PostgreSQL.

use std::env;

use mainstay_testkit::{
    Directory,
    postgres::{self, Binaries, Instance, Options, URL},
};

use super::{
    Place, Running, Service,
    state::{self, Ready, State},
};

const NAME: &str = "postgres";

pub(super) const SERVICE: Service = Service {
    name: NAME,
    variable: URL,
    up,
    down,
    status,
};

/// The server of one run of `cargo xtask test`.
pub(crate) enum Own {
    /// It was there before and stays.
    Found(Running),
    /// It goes with the value.
    Started(Box<Instance>),
}

impl Own {
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Found(running) => running.url.clone(),
            Self::Started(instance) => instance.url(),
        }
    }

    /// What it is, for the report.
    pub(crate) fn what(&self) -> String {
        match self {
            Self::Found(Running {
                version: None,
                found,
                ..
            }) => format!("PostgreSQL ({found})"),
            Self::Found(Running {
                version: Some(version),
                found,
                ..
            }) => {
                format!("PostgreSQL {version} ({found}; runs already)")
            }
            Self::Started(instance) => {
                let binaries = instance.binaries();
                format!("PostgreSQL {} ({})", binaries.version, binaries.found)
            }
        }
    }

    pub(crate) fn close(self) -> Result<(), String> {
        match self {
            Self::Found(_) => Ok(()),
            Self::Started(instance) => instance.close().map_err(|error| error.to_string()),
        }
    }
}

/// A server for one run: the one in the environment, the one that `up` started, or a new one.
pub(crate) fn own(place: &Place) -> Result<Own, String> {
    let guard = state::lock(place)?;
    if let Some(running) = status(place) {
        return Ok(Own::Found(running));
    }
    clear(place)?;
    drop(guard);
    let binaries = Binaries::find_or_install(None).map_err(|error| error.to_string())?;
    let directory = Directory::new(NAME).map_err(|error| error.to_string())?;
    let instance =
        Instance::start(directory, Options::new(binaries)).map_err(|error| error.to_string())?;
    Ok(Own::Started(Box::new(instance)))
}

fn up(place: &Place, _wanted: Option<u32>) -> Result<Running, String> {
    let _guard = state::lock(place)?;
    if let Some(running) = status(place) {
        return Ok(running);
    }
    clear(place)?;
    let binaries = Binaries::find_or_install(None).map_err(|error| error.to_string())?;
    let directory = Directory::new(NAME).map_err(|error| error.to_string())?;
    let mut state = State {
        directory: directory.path().to_owned(),
        version: binaries.version.clone(),
        found: binaries.found.clone(),
        ready: None,
    };
    state::write(place, NAME, &state)?;
    let mut options = Options::new(binaries);
    options.log = Some(place.file("postgres.log"));
    let instance = match Instance::start(directory, options) {
        Ok(instance) => instance,
        Err(error) => {
            clear(place)?;
            return Err(error.to_string());
        }
    };
    state.ready = instance.pid().map(|pid| Ready {
        pid,
        port: instance.port(),
        url: instance.url(),
    });
    state::write(place, NAME, &state)?;
    instance.leave();
    status(place).ok_or_else(|| "it stopped again at once".to_owned())
}

/// Whether something ran that does not any more.
fn down(place: &Place) -> Result<bool, String> {
    let _guard = state::lock(place)?;
    clear(place)
}

fn status(place: &Place) -> Option<Running> {
    if let Some(url) = env::var(URL).ok().filter(|url| !url.is_empty()) {
        return Some(Running {
            url,
            found: format!("{URL}; not asked"),
            version: None,
            pid: None,
            port: None,
            data: None,
            log: None,
        });
    }
    let state = state::read(place, NAME)?;
    let ready = state.ready?;
    let runs = postgres::runs(&state.directory) == Some(ready.pid);
    (runs && postgres::answers(ready.port, password(&ready.url)?)).then(|| Running {
        url: ready.url,
        found: state.found,
        version: Some(state.version),
        pid: Some(ready.pid),
        port: Some(ready.port),
        data: Some(state.directory),
        log: Some(place.file("postgres.log")),
    })
}

fn password(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("//postgres:")?;
    Some(rest.split_once('@')?.0)
}

/// Stops and removes what the state tells of, running or not.
fn clear(place: &Place) -> Result<bool, String> {
    let Some(state) = state::read(place, NAME) else {
        return state::forget(place, NAME).map(|()| false);
    };
    postgres::remove(&state.directory).map_err(|error| error.to_string())?;
    state::forget(place, NAME)?;
    Ok(true)
}
