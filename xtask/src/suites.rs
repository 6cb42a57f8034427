//! Suites: executables of tests, doctests, and seeds of the simulation, side by side, since most of their time is waiting.

mod build;

use std::{
    collections::{BTreeSet, VecDeque},
    env,
    fs::{self, File},
    io,
    process::{Command, ExitStatus},
    sync::{
        Mutex,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use cargo_metadata::camino::Utf8Path;
use mainstay_testkit::{LEFT_OUT, must_run};

use crate::{
    report::{Counts, Run, now},
    services::{POSTGRES, Place, REDIS, Server},
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
    /// Large ones start first: the application's tests start processes, and large executables have many tests.
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

/// Builds and runs suites. Those on servers get some for this run only, unless they are there already; `version` is
/// that of PostgreSQL.
pub(crate) fn run(run: &mut Run, version: Option<u32>, choice: Choice) -> Result<(), String> {
    let mut suites = build::build(choice)?;
    let place = Place::of_workspace()?;
    let (mut servers, mut environment, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for service in [&POSTGRES, &REDIS] {
        let title = service.title;
        let what = match service.server(&place, version, false) {
            Ok(server) => {
                let what = format!("Suites on {title} had {}.", server.what());
                environment.extend(server.environment());
                servers.push(server);
                what
            }
            Err(why) => {
                let asked_for = version.is_some() && service.name == POSTGRES.name;
                if asked_for || must_run(service.name) {
                    missing.push(format!("there is no {title}: {why}"));
                }
                format!("Suites on {title} did not run: {why}")
            }
        };
        println!("{what}");
        run.servers.push(what);
    }
    for suite in &mut suites {
        suite.command.envs(environment.iter().cloned());
        if env::var_os("RUST_TEST_THREADS").is_none() {
            let threads = (2 * cores()).to_string();
            suite.command.env("RUST_TEST_THREADS", threads);
        }
    }
    let outcome = side_by_side(run, suites);
    // Each is closed, even if one of them does not end.
    let closed: Vec<_> = servers.into_iter().map(Server::close).collect();
    closed.into_iter().collect::<Result<(), _>>()?;
    outcome?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(missing.join("; "))
}

/// Runs suites, one more at a time than there are cores; tells of each as it ends, and every half minute what runs.
fn side_by_side(run: &mut Run, suites: VecDeque<Suite>) -> Result<(), String> {
    let logs = Workspace::read()?.target.join("suites");
    fs::create_dir_all(&logs).map_err(|error| format!("{logs}: {error}"))?;
    let lanes = cores() + 1;
    println!("{} suites, {lanes} at a time", suites.len());
    let (queue, mut running) = (Mutex::new(suites), BTreeSet::new());
    let (mut total, mut failed) = (Counts::default(), Vec::new());
    thread::scope(|scope| {
        let (sender, news) = mpsc::channel();
        for _ in 0..lanes {
            let (queue, logs, sender) = (&queue, &logs, sender.clone());
            scope.spawn(move || work(queue, logs, &sender));
        }
        drop(sender);
        loop {
            let (name, ended) = match news.recv_timeout(HALF_A_MINUTE) {
                Ok(news) => news,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    println!("running: {}", Vec::from_iter(running.clone()).join(", "));
                    continue;
                }
            };
            let Some(Ended {
                took,
                output,
                status,
            }) = ended
            else {
                running.insert(name);
                continue;
            };
            running.remove(&name);
            print!("{output}");
            let counts = counted(&output);
            println!(
                "suite {name}: {} passed, {:.1} s",
                counts.passed,
                took.as_secs_f64()
            );
            let why = match status {
                Ok(status) if status.success() && counts.failed == 0 => None,
                Ok(status) => Some(format!(
                    "{} tests failed, it ended with {status}",
                    counts.failed
                )),
                Err(error) => Some(format!("it does not start: {error}")),
            };
            if let Some(why) = why {
                println!("FAILED: {name}: {why}");
                failed.push(name.clone());
            }
            total += counts.clone();
            run.suites.push((name, took, counts));
        }
    });
    run.counts += total.clone();
    let ignored = total.ignored;
    if !failed.is_empty() {
        return Err(format!("failed: {}", failed.join(", ")));
    }
    if total.passed == 0 {
        return Err("no test ran".to_owned());
    }
    if ignored > 0 && env::var_os("CI").is_some() {
        return Err(format!("{ignored} tests did not run (ignored)"));
    }
    Ok(())
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// How a suite went.
struct Ended {
    took: Duration,
    output: String,
    status: io::Result<ExitStatus>,
}

/// Runs suites until none is left; names each when it starts and when it ends.
fn work(queue: &Mutex<VecDeque<Suite>>, logs: &Utf8Path, news: &Sender<(String, Option<Ended>)>) {
    let next = || queue.lock().ok()?.pop_front();
    while let Some(Suite {
        name, mut command, ..
    }) = next()
    {
        let started = now();
        // A file, since a pipe ends only with the last process that inherited it.
        let log = logs.join(name.replace(' ', "-") + ".log");
        let status = news
            .send((name.clone(), None))
            .map_err(io::Error::other)
            .and_then(|()| {
                let file = File::create(&log)?;
                command.stdout(file.try_clone()?).stderr(file).status()
            });
        let output = fs::read(&log).unwrap_or_default();
        let ended = Ended {
            took: started.elapsed(),
            output: String::from_utf8_lossy(&output).into_owned(),
            status,
        };
        if news.send((name, Some(ended))).is_err() {
            return;
        }
    }
}

/// What the test runners counted, and which suites were left out.
fn counted(output: &str) -> Counts {
    let mut counts = Counts::default();
    for line in output.lines() {
        if let Some(closing) = closing_line(line) {
            counts += closing;
        }
        // The harness may have begun a line of its own.
        if let Some((_, suite)) = line.split_once(LEFT_OUT) {
            counts.left_out.insert(suite.trim_end().to_owned());
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
        left_out: BTreeSet::new(),
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

    fn ran(suites: Vec<Suite>) -> (Result<(), String>, Run) {
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
        assert!(outcome.unwrap_err().contains("stand-in"));
        assert_eq!((run.counts.passed, run.counts.failed), (14, 2));
        assert!(ran(vec![suite(OK, 101)]).0.is_err());
    }

    #[test]
    fn suites_that_were_left_out_are_gathered_once_each() {
        let line = format!("{LEFT_OUT}outbox on postgres: no server\n");
        let (_, run) = ran(vec![suite(&format!("test a ... {line}{line}{OK}"), 0)]);
        let left_out = Vec::from_iter(run.counts.left_out);
        assert_eq!(left_out, ["outbox on postgres: no server"]);
    }

    #[test]
    fn a_run_without_a_test_fails() {
        assert!(ran(vec![suite("", 0)]).0.is_err());
    }
}
