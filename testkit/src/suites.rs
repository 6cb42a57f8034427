//! Suites whose server is missing.

use std::{collections::HashSet, env, io::Write, sync::Mutex};

use crate::Error;

/// How the line begins that says which suite did not run; `cargo xtask test` looks for it.
pub const LEFT_OUT: &str = "suite left out: ";

/// Whether a suite on `service` has to run: in CI everything has to, elsewhere what `MAINSTAY_REQUIRE` lists.
pub fn must_run(service: &str) -> bool {
    let listed = |list: String| list.split(',').any(|name| name.trim() == service);
    env::var_os("CI").is_some() || env::var("MAINSTAY_REQUIRE").is_ok_and(listed)
}

/// Says, once per process, that `suite` does not run on `service` and why; past the test harness, which keeps what
/// a passing test prints.
///
/// # Panics
///
/// If the suite [must run](must_run).
pub fn left_out(suite: &str, service: &str, why: &str) {
    static SAID: Mutex<Option<HashSet<(String, String)>>> = Mutex::new(None);
    let first = SAID.lock().is_ok_and(|mut said| {
        said.get_or_insert_default()
            .insert((suite.to_owned(), service.to_owned()))
    });
    if first {
        let line = format!("{LEFT_OUT}{suite} on {service}: {why}\n");
        // Where nobody reads the output, nobody misses the line.
        drop(std::io::stdout().write_all(line.as_bytes()));
    }
    assert!(!must_run(service), "{suite} must run on {service}: {why}");
}

/// None where a server or a disk cannot be had, which is [said](left_out).
pub(crate) fn or_left_out<T>(
    suite: &str,
    service: &str,
    outcome: Result<T, Error>,
) -> Result<Option<T>, Error> {
    match outcome {
        Err(Error::Unavailable(why)) => {
            left_out(suite, service, &why);
            Ok(None)
        }
        outcome => outcome.map(Some),
    }
}
