//! PostgreSQL.

use std::{env, ffi::OsString};

use mainstay_testkit::{
    Directory,
    postgres::{self, BIN, Binaries, Instance, Options, URL},
};

use super::{Place, Running};

const NAME: &str = "postgres";

/// The state file: it is written before there is anything to clean up.
const STATE: &str = "postgres.json";

/// The server of one run of tests.
pub(crate) struct Server {
    pub(super) running: Running,
    /// If it was started for this run, and goes with it.
    instance: Option<Instance>,
}

impl Server {
    /// What tells the tests of it; those that start servers of their own take the same version.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let Running { url, binaries, .. } = &self.running;
        let url = url.iter().map(|url| (URL, url.into()));
        let binaries = binaries.iter().map(|directory| (BIN, directory.into()));
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
        format!("PostgreSQL {version} ({found}), {since}")
    }

    pub(crate) fn close(self) -> Result<(), String> {
        self.instance.map_or(Ok(()), Instance::close).map_err(told)
    }
}

/// The server in the environment, the one that `up` started if its version fits, or a new one, which `stays` or goes
/// with the value.
pub(crate) fn server(place: &Place, wanted: Option<u32>, stays: bool) -> Result<Server, String> {
    let _guard = place.lock()?;
    let wanted = postgres::asked_for(wanted).map_err(told)?;
    let (running, mut instance) = (status(place), None);
    if running.url.is_some() && fits(&running, wanted) {
        return Ok(Server { running, instance });
    }
    if running.url.is_some() && stays {
        let version = running.version.unwrap_or_default();
        return Err(format!(
            "PostgreSQL {version} runs already; `cargo xtask services down` first"
        ));
    }
    clear_remains(place)?;
    let (directory, mut options) = prepared(wanted)?;
    let log = place.file(if stays {
        "postgres.log"
    } else {
        "postgres-test.log"
    });
    let mut running = Running {
        found: options.binaries.found.clone(),
        version: Some(options.binaries.version.clone()),
        data: Some(directory.path().to_owned()),
        binaries: Some(options.binaries.directory.clone()),
        log: Some(log.clone()),
        ..nothing()
    };
    if stays {
        place.write(STATE, &running)?;
    }
    options.log = Some(log);
    // Suites side by side open more connections than one suite does.
    options.settings = vec![("max_connections".to_owned(), "500".to_owned())];
    let started = match Instance::start(directory, options) {
        Ok(started) => started,
        Err(error) => {
            if stays {
                clear(place)?;
            }
            return Err(told(error));
        }
    };
    running.pid = started.pid();
    running.port = Some(started.port());
    running.url = Some(started.url());
    if stays {
        place.write(STATE, &running)?;
        started.leave();
    } else {
        instance = Some(started);
    }
    Ok(Server { running, instance })
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
