//! `cargo xtask …`: the project's chores.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
)]

mod features;
mod steps;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  test [--only STEP]   Everything that must hold before a change lands: formatting, lints, every
                       feature alone, tests and doctests, documentation. CI runs exactly this.
  help                 This text.

Steps of `test`: fmt, features, clippy, test, doc.
PostgreSQL, Redis and Kafka have no adapters yet, so there are no suites to run against them.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["test"] => steps::run(None),
        ["test", "--only", step] => steps::run(Some(step)),
        ["help" | "--help" | "-h"] | [] => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        other => {
            eprintln!("unknown command {:?}\n\n{HELP}", other.join(" "));
            ExitCode::FAILURE
        }
    }
}
