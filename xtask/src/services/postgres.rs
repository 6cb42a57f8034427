//! PostgreSQL.

use std::{env, ffi::OsString, iter, path::PathBuf};

use mainstay_testkit::{
    Directory,
    postgres::{self, BIN, Binaries, Instance, Options, URL},
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
pub(crate) enum Server {
    /// It was there before and stays.
    Found(Running),
    /// It goes with the value.
    Started(Box<Instance>),
}

impl Server {
    /// What tells the tests of it; those that start servers of their own take the same version.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let (url, binaries) = match self {
            Self::Found(running) => (running.url.clone(), running.binaries.as_ref()),
            Self::Started(instance) => (instance.url(), Some(&instance.binaries().directory)),
        };
        let binaries = binaries.map(|directory| (BIN, directory.into()));
        iter::once((URL, url.into())).chain(binaries).collect()
    }

    /// What it is, for the report.
    pub(crate) fn what(&self) -> String {
        match self {
            Self::Found(Running {
                version: None,
                found,
                ..
            }) => format!("the server of {found}"),
            Self::Found(Running {
                version: Some(version),
                found,
                ..
            }) => {
                format!("PostgreSQL {version} ({found}), which ran already")
            }
            Self::Started(instance) => {
                let binaries = instance.binaries();
                format!(
                    "PostgreSQL {} ({}), started for them",
                    binaries.version, binaries.found
                )
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

/// A server for one run: the one in the environment, the one that `up` started if its version fits, or a new one.
pub(crate) fn server(place: &Place, wanted: Option<u32>) -> Result<Server, String> {
    let guard = state::lock(place)?;
    let wanted = asked_for(wanted)?;
    if let Some(running) = status(place).filter(|running| fits(running, wanted)) {
        return Ok(Server::Found(running));
    }
    clear_remains(place)?;
    let binaries = programs(wanted)?;
    drop(guard);
    let directory = Directory::new(NAME).map_err(|error| error.to_string())?;
    let mut options = Options::new(binaries);
    options.log = Some(place.file("postgres-test.log"));
    let instance = Instance::start(directory, options).map_err(|error| error.to_string())?;
    Ok(Server::Started(Box::new(instance)))
}

/// Those of the server, and beside them the pooler's: the suites that want one say themselves when it is missing.
fn programs(wanted: Option<u32>) -> Result<Binaries, String> {
    let binaries = Binaries::find_or_install(wanted).map_err(|error| error.to_string())?;
    if let Err(why) = postgres::install_pooler() {
        eprintln!("there is no PgBouncer: {why}");
    }
    Ok(binaries)
}

fn up(place: &Place, wanted: Option<u32>) -> Result<Running, String> {
    let _guard = state::lock(place)?;
    let wanted = asked_for(wanted)?;
    if let Some(running) = status(place) {
        if fits(&running, wanted) {
            return Ok(running);
        }
        let version = running.version.unwrap_or_default();
        return Err(format!(
            "{version} runs already; `cargo xtask services down` first"
        ));
    }
    clear_remains(place)?;
    let binaries = programs(wanted)?;
    let directory = Directory::new(NAME).map_err(|error| error.to_string())?;
    let mut state = State {
        directory: directory.path().to_owned(),
        binaries: binaries.directory.clone(),
        version: binaries.version.clone(),
        found: binaries.found.clone(),
        ready: None,
    };
    state::write(place, NAME, &state)?;
    let mut options = Options::new(binaries);
    options.log = Some(log(place));
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

fn asked_for(wanted: Option<u32>) -> Result<Option<u32>, String> {
    postgres::asked_for(wanted).map_err(|error| error.to_string())
}

/// Whether it is of the version asked for; nobody knows that of a server in the environment.
fn fits(running: &Running, wanted: Option<u32>) -> bool {
    match (wanted, &running.version) {
        (Some(wanted), Some(version)) => version.split('.').next() == Some(&*wanted.to_string()),
        _ => true,
    }
}

fn log(place: &Place) -> PathBuf {
    place.file("postgres.log")
}

/// Removes what killed runs left: a state whose server does not answer, and directories whose owner is gone.
fn clear_remains(place: &Place) -> Result<(), String> {
    let stale = status(place).is_none() && clear(place)?;
    let abandoned = postgres::remove_abandoned().map_err(|error| error.to_string())?;
    if stale || abandoned > 0 {
        eprintln!("removed what an earlier run left behind");
    }
    Ok(())
}

/// Whether something ran that does not any more.
fn down(place: &Place) -> Result<bool, String> {
    let _guard = state::lock(place)?;
    clear(place)
}

/// The server of the environment, unasked, since only the suites know how they reach it; or ours, if it answers.
fn status(place: &Place) -> Option<Running> {
    if let Some(url) = env::var(URL).ok().filter(|url| !url.is_empty()) {
        return Some(Running {
            url,
            found: URL.to_owned(),
            version: None,
            pid: None,
            port: None,
            data: None,
            binaries: None,
            log: None,
        });
    }
    let state = state::read(place, NAME)?;
    let ready = state.ready?;
    let runs = postgres::runs(&state.directory) == Some(ready.pid);
    (runs && postgres::answers(ready.port)).then(|| Running {
        url: ready.url,
        found: state.found,
        version: Some(state.version),
        pid: Some(ready.pid),
        port: Some(ready.port),
        data: Some(state.directory),
        binaries: Some(state.binaries),
        log: Some(log(place)),
    })
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
