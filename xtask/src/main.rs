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

mod counts;
mod features;
mod report;
mod services;
mod spdx;
mod steps;
mod supply;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  test [--only STEP]   Everything that must hold before a change lands; CI runs exactly this.
                       Ends with a table of steps and the line \"N passed, N failed\" (tests and
                       doctests); the exit code is 0 only if every step succeeded.
  services up          Starts a private PostgreSQL that stays, and prints its URL; a second one finds the first.
  services down        Stops it and removes its data.
  services status      What runs. All three take --json but `down`.
  advisories           Known vulnerabilities and yanked versions among the dependencies. Needs
                       cargo-deny and, for its database, the network; not a part of `test`.
  help                 This text.

Steps of `test`:
  fmt        formatting
  deny       licences, bans and sources of dependencies, as deny.toml says: with cargo-deny where it
             is installed, else checked here; the output says which
  features   every combination of each package's features builds
  clippy     lints, on all targets with all features
  test       tests and doctests of all packages; xtask's own tests hold the house rules (who may
             import whom, file sizes, names, manifests, rust-version)
  doc        API documentation, without warnings

With CI set, a test that was ignored fails the run.
PostgreSQL, Redis and Kafka have no adapters yet, so there are no suites to run against them.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let succeeded = match args.as_slice() {
        ["test"] => steps::run(None),
        ["test", "--only", step] => steps::run(Some(step)),
        ["services", "up"] => said(services::up(None, false)),
        ["services", "up", "--json"] => said(services::up(None, true)),
        ["services", "down"] => said(services::down()),
        ["services", "status"] => said(services::status(false)),
        ["services", "status", "--json"] => said(services::status(true)),
        ["advisories"] => said(supply::advisories()),
        ["help" | "--help" | "-h"] | [] => {
            println!("{HELP}");
            true
        }
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
