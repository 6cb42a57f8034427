//! Redis.

use mainstay_testkit::{
    Directory, Error,
    redis::{self, BIN, Binaries, Instance, Options},
};

use super::service::{Programs, Service, started};

pub(crate) static REDIS: Service = Service {
    name: redis::NAME,
    title: "Redis",
    variable: redis::URL,
    programs: BIN,
    instead: None,
    version: |_| Ok(None),
    prepare,
    runs: redis::runs,
    answers: redis::answers,
    remove: redis::remove,
    remove_abandoned: redis::remove_abandoned,
};

/// The one version that is installed, or that Debian has.
fn prepare(_: Option<u32>) -> Result<Programs, Error> {
    let binaries = Binaries::find_or_install()?;
    Ok(Programs {
        directory: binaries.directory.clone(),
        version: binaries.version.clone(),
        found: binaries.found.clone(),
        start: Box::new(|directory: Directory, log, _stays| {
            let mut options = Options::new(binaries);
            options.log = Some(log);
            Ok(Box::new(Instance::start(directory, options)?))
        }),
    })
}

started!(Instance);
