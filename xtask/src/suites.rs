//! The step `test`: all suites, with the servers they need.

use std::process::Command;

use mainstay_testkit::{must_run, postgres};

use crate::{
    counts::counted,
    forms::{EXPLORING, Forms},
    proof,
    report::Run,
    services::{Place, Server, server},
};

/// The oldest and the newest PostgreSQL that the suites run on.
const MATRIX: [u32; 2] = [15, 18];

/// What the names of all tests on PostgreSQL contain: they are in a module of that name.
const ON_POSTGRES: &str = "postgres";

/// Runs all tests. Those on PostgreSQL get a server that is there for this run only, unless one is there already;
/// in a matrix they run once more on each further version.
pub(crate) fn all(run: &mut Run) -> Result<(), String> {
    if !run.matrix {
        return on(run, None, None);
    }
    if std::env::var_os(postgres::URL).is_some() {
        let url = postgres::URL;
        return Err(format!(
            "{url} names one server; a matrix starts its own: unset it"
        ));
    }
    let mut outcome = Ok(());
    let filters = std::iter::once(None).chain(std::iter::repeat(Some(ON_POSTGRES)));
    for (version, filter) in MATRIX.into_iter().zip(filters) {
        let on_version = on(run, Some(version), filter)
            .map_err(|error| format!("with PostgreSQL {version}: {error}"));
        outcome = outcome.and(on_version);
    }
    outcome
}

fn on(run: &mut Run, wanted: Option<u32>, filter: Option<&str>) -> Result<(), String> {
    let place = Place::of_workspace()?;
    match server(&place, wanted) {
        Ok(server) => {
            println!("suites on PostgreSQL get {}", server.what());
            let outcome = tests(run, Some(&server), filter);
            run.servers
                .push(format!("Suites on PostgreSQL had {}.", server.what()));
            server.close().and(outcome)
        }
        Err(why) => {
            println!("there is no PostgreSQL: {why}");
            let outcome = tests(run, None, filter);
            run.servers
                .push(format!("Suites on PostgreSQL did not run: {why}"));
            if wanted.is_some() || must_run("postgres") {
                return outcome.and(Err(format!("there is no PostgreSQL: {why}")));
            }
            outcome
        }
    }
}

/// Everything, or where there is a filter what runs on a server: the application on servers has no module of that name.
fn tests(run: &mut Run, server: Option<&Server>, filter: Option<&str>) -> Result<(), String> {
    let forms = Forms::of_workspace()?.without(EXPLORING);
    let chosen = match filter {
        None => forms.all(),
        Some(_) => forms.on_servers(),
    };
    let mut outcome = Ok(());
    for (form, filter) in chosen
        .into_iter()
        .zip(std::iter::once(filter).chain(std::iter::repeat(None)))
    {
        let mut command = Command::new(env!("CARGO"));
        command.args(["test", "--no-fail-fast"]).args(form);
        if let Some(filter) = filter {
            command.args(["--", filter]);
        }
        if let Some(server) = server {
            command.envs(server.environment());
        }
        let strict = std::env::var_os("CI").is_some();
        // One form's failure does not hide another's.
        outcome = outcome.and(counted(&mut run.counts, command, strict));
    }
    outcome
}

/// How many seeds of the simulation a run tries: two and a half minutes on two cores.
const SEEDS: &str = "40000";

/// Runs what explores: all models, the simulation's own tests, and its first seeds.
pub(crate) fn explored(run: &mut Run) -> Result<(), String> {
    let mut tests = Command::new(env!("CARGO"));
    tests.args(["test", "--no-fail-fast", "--profile", "proof"]);
    for package in EXPLORING {
        tests.args(["-p", package]);
    }
    let strict = std::env::var_os("CI").is_some();
    let tests = counted(&mut run.counts, tests, strict);
    let seeds = proof::simulation(&["seeds", "--count", SEEDS]);
    tests.and(proof::passes(seeds, "a seed failed"))
}
