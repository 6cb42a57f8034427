//! PostgreSQL.

use std::{env, ffi::OsString, iter};

use mainstay_testkit::{
    Directory,
    postgres::{self, BIN, Binaries, Instance, Options, URL},
};

use super::{Place, Running};

const NAME: &str = "postgres";

/// The state file: it is written before there is anything to clean up.
const STATE: &str = "postgres.json";

/// The server of one run of tests.
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
            Self::Started(instance) => (Some(instance.url()), Some(&instance.binaries().directory)),
        };
        let binaries = binaries.map(|directory| (BIN, directory.into()));
        iter::once((URL, url.unwrap_or_default().into()))
            .chain(binaries)
            .collect()
    }

    /// What it is, for the report.
    pub(crate) fn what(&self) -> String {
        match self {
            Self::Found(Running { version, found, .. }) => match version {
                None => format!("the server of {found}"),
                Some(version) => format!("PostgreSQL {version} ({found}), which ran already"),
            },
            Self::Started(instance) => {
                let Binaries { version, found, .. } = instance.binaries();
                format!("PostgreSQL {version} ({found}), started for them")
            }
        }
    }

    pub(crate) fn close(self) -> Result<(), String> {
        match self {
            Self::Found(_) => Ok(()),
            Self::Started(instance) => instance.close().map_err(told),
        }
    }
}

/// A server for one run: the one in the environment, the one that `up` started if its version fits, or a new one.
pub(crate) fn server(place: &Place, wanted: Option<u32>) -> Result<Server, String> {
    let guard = place.lock()?;
    let wanted = postgres::asked_for(wanted).map_err(told)?;
    let running = status(place);
    if running.url.is_some() && fits(&running, wanted) {
        return Ok(Server::Found(running));
    }
    clear_remains(place)?;
    let (directory, mut options) = prepared(wanted)?;
    drop(guard);
    options.log = Some(place.file("postgres-test.log"));
    // Suites side by side open more connections than one suite does.
    options.settings = vec![("max_connections".to_owned(), "500".to_owned())];
    let instance = Instance::start(directory, options).map_err(told)?;
    Ok(Server::Started(Box::new(instance)))
}

pub(super) fn up(place: &Place, wanted: Option<u32>) -> Result<Running, String> {
    let _guard = place.lock()?;
    let wanted = postgres::asked_for(wanted).map_err(told)?;
    let running = status(place);
    if running.url.is_some() && fits(&running, wanted) {
        return Ok(running);
    }
    if running.url.is_some() {
        let version = running.version.unwrap_or_default();
        return Err(format!(
            "PostgreSQL {version} runs already; `cargo xtask services down` first"
        ));
    }
    clear_remains(place)?;
    let (directory, mut options) = prepared(wanted)?;
    let log = place.file("postgres.log");
    let mut state = Running {
        found: options.binaries.found.clone(),
        version: Some(options.binaries.version.clone()),
        data: Some(directory.path().to_owned()),
        binaries: Some(options.binaries.directory.clone()),
        log: Some(log.clone()),
        ..nothing()
    };
    place.write(STATE, &state)?;
    options.log = Some(log);
    let instance = match Instance::start(directory, options) {
        Ok(instance) => instance,
        Err(error) => {
            clear(place)?;
            return Err(told(error));
        }
    };
    state.pid = instance.pid();
    state.port = Some(instance.port());
    state.url = Some(instance.url());
    place.write(STATE, &state)?;
    instance.leave();
    Ok(state)
}

/// Whether something ran that does not any more.
pub(super) fn down(place: &Place) -> Result<bool, String> {
    let _guard = place.lock()?;
    clear(place)
}

/// The server of the environment, unasked, since only the suites know how they reach it; or ours, if it answers.
pub(super) fn status(place: &Place) -> Running {
    if let Some(url) = env::var(URL).ok().filter(|url| !url.is_empty()) {
        return Running {
            url: Some(url),
            found: URL.to_owned(),
            ..nothing()
        };
    }
    place
        .read(STATE)
        .filter(|state| answers(state) == Some(true))
        .unwrap_or_else(nothing)
}

fn answers(state: &Running) -> Option<bool> {
    let pid = postgres::runs(state.data.as_ref()?)?;
    Some(state.pid == Some(pid) && postgres::answers(state.port?))
}

fn nothing() -> Running {
    Running {
        service: NAME.to_owned(),
        variable: URL.to_owned(),
        ..Running::default()
    }
}

/// A directory, and programs: beside them the pooler's, and the suites that want one say themselves when it is missing.
fn prepared(wanted: Option<u32>) -> Result<(Directory, Options), String> {
    let binaries = Binaries::find_or_install(wanted).map_err(told)?;
    if let Err(why) = postgres::install_pooler() {
        eprintln!("there is no PgBouncer: {why}");
    }
    Ok((Directory::new(NAME).map_err(told)?, Options::new(binaries)))
}

/// Whether it is of the version asked for; nobody knows that of a server in the environment.
fn fits(running: &Running, wanted: Option<u32>) -> bool {
    match (wanted, &running.version) {
        (Some(wanted), Some(version)) => version.split('.').next() == Some(&*wanted.to_string()),
        _ => true,
    }
}

/// Removes what killed runs left: a state whose server does not answer, and directories whose owner is gone.
fn clear_remains(place: &Place) -> Result<(), String> {
    let stale = status(place).url.is_none() && clear(place)?;
    let abandoned = postgres::remove_abandoned().map_err(told)?;
    if stale || abandoned > 0 {
        eprintln!("removed what an earlier run left behind");
    }
    Ok(())
}

/// Stops and removes what the state tells of, running or not.
fn clear(place: &Place) -> Result<bool, String> {
    let directory = place.read(STATE).and_then(|state| state.data);
    if let Some(directory) = &directory {
        postgres::remove(directory).map_err(told)?;
    }
    place.forget(STATE)?;
    Ok(directory.is_some())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn told(error: mainstay_testkit::Error) -> String {
    error.to_string()
}
