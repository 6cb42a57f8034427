//! Suites: test executables, doctests and seeds side by side, since most of their time is waiting.

mod build;

use std::{
    collections::{BTreeSet, VecDeque},
    env,
    ffi::OsString,
    fs::{self, File},
    io,
    process::{Command, ExitStatus},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::camino::Utf8Path;
use mainstay_testkit::{SKIPPED, must_run};
use parking_lot::Mutex;

use crate::{
    report::{Counts, Run, now},
    services::{POSTGRES, Place, Server, each},
    workspace::Workspace,
};

const HALF_A_MINUTE: Duration = Duration::from_secs(30);

/// Something that runs as one.
pub(crate) struct Suite {
    name: String,
    /// Whose tests they are; of doctests and seeds, nobody's.
    package: String,
    /// Whether it has the application on servers.
    on_servers: bool,
    command: Command,
    /// Large ones start first: large executables have many tests.
    size: u64,
}

/// Whether a suite runs, and which of its tests: those whose name contains the text.
pub(crate) type Choice = fn(&Suite) -> Option<&'static str>;

pub(crate) const EVERYTHING: Choice = |_| Some("");

/// Tests in a module `postgres`, and the application on servers.
pub(crate) const ON_SERVERS: Choice = |suite| match &*suite.package {
    "" => None,
    _ if suite.on_servers => Some(""),
    package => (!package.starts_with("commerce")).then_some("postgres"),
};

/// What kills, stops and cuts off processes.
pub(crate) const CHAOS: Choice = |suite| match &*suite.package {
    "mainstay-chaos" => Some(""),
    "commerce" => Some("kill"),
    _ => None,
};

/// Builds and runs suites; `version` is that of PostgreSQL. Moments that are random in them follow from the seed, if there is one.
pub(crate) fn run(
    run: &mut Run,
    version: Option<u32>,
    seed: Option<u64>,
    choice: Choice,
) -> Result<()> {
    let mut suites = build::build(choice)?;
    run.begin_second();
    with_servers(run, version, |run, environment| {
        for Suite {
            command,
            package,
            on_servers,
            ..
        } in &mut suites
        {
            command.envs(environment.to_vec());
            command.envs(seed.map(|seed| ("KILL_SEED", seed.to_string())));
            if env::var_os("RUST_TEST_THREADS").is_none() {
                // A test of the application or of chaos is several processes; most others wait. The
                // application on servers takes longest, so it gets more.
                let at_once = match &**package {
                    "commerce" if *on_servers => cores() + 1,
                    "commerce" | "mainstay-chaos" => cores(),
                    _ => 2 * cores(),
                };
                command.env("RUST_TEST_THREADS", at_once.to_string());
            }
        }
        side_by_side(run, suites)
    })
}

/// Runs tests with servers that are there already, or go with them; tells them of these.
pub(crate) fn with_servers(
    run: &mut Run,
    version: Option<u32>,
    tests: impl FnOnce(&mut Run, &[(&str, OsString)]) -> Result<()>,
) -> Result<()> {
    let place = Place::of_workspace()?;
    let (mut servers, mut environment, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for (service, server) in each(|service| service.server(&place, version, false)) {
        let title = service.title;
        let what = match server {
            Ok(server) => {
                let what = format!("Suites on {title} had {}.", server.what());
                environment.extend(server.environment());
                servers.push(server);
                what
            }
            Err(why) => {
                let asked_for = version.is_some() && service.name == POSTGRES.name;
                if asked_for || must_run(service.name) {
                    missing.push(format!("there is no {title}: {why:#}"));
                }
                match service.instead {
                    Some(instead) => format!("Suites on {title} had {instead}: {why:#}"),
                    None => format!("Suites on {title} did not run: {why:#}"),
                }
            }
        };
        println!("{what}");
        run.servers.push(what);
    }
    let outcome = tests(run, &environment);
    // Each is closed, even if one of them does not end.
    let closed: Vec<_> = servers.into_iter().map(Server::close).collect();
    closed.into_iter().collect::<Result<()>>()?;
    outcome?;
    ensure!(missing.is_empty(), "{}", missing.join("; "));
    Ok(())
}

/// Runs suites, one more at a time than there are cores. Every half minute it says what runs.
fn side_by_side(run: &mut Run, suites: VecDeque<Suite>) -> Result<()> {
    let logs = Workspace::read()?.target.join("suites");
    fs::create_dir_all(&logs).with_context(|| logs.to_string())?;
    let lanes = cores() + 1;
    println!("{} suites, {lanes} at a time", suites.len());
    let (queue, ended) = (Mutex::new(suites), Mutex::new(Vec::new()));
    let running = Mutex::new(BTreeSet::new());
    let next = || queue.lock().pop_front();
    let work = || {
        while let Some(mut suite) = next() {
            running.lock().insert(suite.name.clone());
            let (took, output, status) = suite.run(&logs);
            let counts = counted(&output);
            let mut ended = ended.lock();
            running.lock().remove(&suite.name);
            let (name, passed, seconds) = (&suite.name, counts.passed, took.as_secs_f64());
            println!("{output}suite {name}: {passed} passed, {seconds:.1} s");
            let is_ok = status.as_ref().is_ok_and(ExitStatus::success) && counts.failed == 0;
            if !is_ok {
                let how = status.map_or_else(|e| e.to_string(), |status| status.to_string());
                println!("FAILED: {name}: {} tests failed, {how}", counts.failed);
            }
            ended.push((is_ok, suite.name, took, counts));
        }
    };
    thread::scope(|scope| {
        let (working, all_ended) = mpsc::channel::<()>();
        for _ in 0..lanes {
            let (work, working) = (&work, working.clone());
            scope.spawn(move || {
                work();
                drop(working);
            });
        }
        drop(working);
        while all_ended.recv_timeout(HALF_A_MINUTE) == Err(RecvTimeoutError::Timeout) {
            let running = Vec::from_iter(running.lock().clone());
            println!("running: {}", running.join(", "));
        }
    });
    let (mut total, mut failed) = (Counts::default(), Vec::new());
    for (is_ok, name, took, counts) in ended.into_inner() {
        if !is_ok {
            failed.push(name.clone());
        }
        total += counts.clone();
        run.suites.push((name, took, counts));
    }
    run.counts += total.clone();
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    ensure!(total.passed > 0, "no test ran");
    let (ignored, is_ci) = (total.ignored, env::var_os("CI").is_some());
    ensure!(
        ignored == 0 || !is_ci,
        "{ignored} tests did not run (ignored)"
    );
    Ok(())
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl Suite {
    fn run(&mut self, logs: &Utf8Path) -> (Duration, String, io::Result<ExitStatus>) {
        let started = now();
        // A file, since a pipe ends only with the last process that inherited it.
        let log = logs.join(self.name.replace(' ', "-") + ".log");
        let status = File::create(&log).and_then(|file| {
            let command = self.command.stdout(file.try_clone()?);
            command.stderr(file).status()
        });
        let output = fs::read(&log).unwrap_or_default();
        let output = String::from_utf8_lossy(&output).into_owned();
        (started.elapsed(), output, status)
    }
}

/// What the test runners counted, and which suites were left out.
pub(crate) fn counted(output: &str) -> Counts {
    let mut counts = Counts::default();
    for line in output.lines() {
        if let Some(closing) = closing_line(line) {
            counts += closing;
        }
        // The harness may have begun a line of its own.
        if let Some((_, suite)) = line.split_once(SKIPPED) {
            counts.skipped.insert(suite.trim_end().to_owned());
        }
    }
    counts
}

/// `test result: ok. 7 passed; 0 failed; 1 ignored; …`
fn closing_line(line: &str) -> Option<Counts> {
    let line = line.trim().strip_prefix("test result: ")?;
    let (_, counts) = line.split_once(". ")?;
    let mut parts = counts.split("; ");
    let mut next = || parts.next()?.split(' ').next()?.parse().ok();
    Some(Counts {
        passed: next()?,
        failed: next()?,
        ignored: next()?,
        skipped: BTreeSet::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "test result: ok. 7 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out";
    const FAILED: &str = "test result: FAILED. 7 passed; 2 failed; 1 ignored; 0 measured";

    /// Stands in for an executable of tests: prints `lines`, ends with `code`.
    fn suite(lines: &str, code: u8) -> Suite {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("echo '{lines}'; exit {code}")]);
        Suite {
            name: format!("stand-in {code} {}", lines.len()),
            package: String::new(),
            on_servers: false,
            command,
            size: 0,
        }
    }

    fn ran(suites: Vec<Suite>) -> (Result<()>, Run) {
        let mut run = Run::default();
        (side_by_side(&mut run, suites.into()), run)
    }

    #[test]
    fn counts_are_read_from_closing_lines_only() {
        let counts = counted(&format!("running 3 tests\n{FAILED}\n"));
        assert_eq!((counts.passed, counts.failed, counts.ignored), (7, 2, 1));
        assert_eq!(counted("running 3 tests"), Counts::default());
    }

    #[test]
    fn a_failed_suite_fails_the_step_whatever_its_exit_code_and_the_others_count() {
        let (outcome, run) = ran(vec![suite(FAILED, 0), suite(OK, 0)]);
        assert!(outcome.unwrap_err().to_string().contains("stand-in"));
        assert_eq!((run.counts.passed, run.counts.failed), (14, 2));
        assert!(ran(vec![suite(OK, 101)]).0.is_err());
    }

    #[test]
    fn suites_that_were_skipped_are_gathered_once_each() {
        let line = format!("{SKIPPED}outbox on postgres: no server\n");
        let (_, run) = ran(vec![suite(&format!("test a ... {line}{line}{OK}"), 0)]);
        let skipped = Vec::from_iter(run.counts.skipped);
        assert_eq!(skipped, ["outbox on postgres: no server"]);
    }

    #[test]
    fn a_run_without_a_test_fails() {
        assert!(ran(vec![suite("", 0)]).0.is_err());
    }
}
