//! PostgreSQL.

use mainstay_testkit::{
    Directory, Error,
    postgres::{self, BIN, Binaries, Instance, Options},
};

use super::service::{Programs, Service, started};

pub(crate) static POSTGRES: Service = Service {
    name: postgres::NAME,
    title: "PostgreSQL",
    variable: postgres::URL,
    programs: BIN,
    instead: None,
    version: postgres::asked_for,
    prepare,
    runs: postgres::runs,
    answers: postgres::answers,
    remove: postgres::remove,
    remove_abandoned: postgres::remove_abandoned,
};

/// Programs, and beside them the pooler's: the suites that want one say themselves when it is missing.
fn prepare(wanted: Option<u32>) -> Result<Programs, Error> {
    let binaries = Binaries::find_or_install(wanted)?;
    if let Err(why) = postgres::install_pooler() {
        eprintln!("there is no PgBouncer: {why}");
    }
    Ok(Programs {
        directory: binaries.directory.clone(),
        version: binaries.version.clone(),
        found: binaries.found.clone(),
        start: Box::new(|directory: Directory, log, stays| {
            let mut options = Options::new(binaries);
            options.log = Some(log);
            // Suites side by side open more connections than one suite does.
            options.settings = vec![("max_connections".to_owned(), "500".to_owned())];
            if !stays {
                // No test cuts the power: what a killed server has written, the system keeps. Each database that a test
                // drops costs a second otherwise. Benches have a server that stays.
                // Nor does the log need whole pages behind each checkpoint, of which each drop makes one.
                for name in ["fsync", "full_page_writes"] {
                    (options.settings).push((name.to_owned(), "off".to_owned()));
                }
            }
            Ok(Box::new(Instance::start(directory, options)?))
        }),
    })
}

started!(Instance);
