//! Runs the models, and explains what they find.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::process::ExitCode;

use clap::Parser;
use mainstay_models::{Size, cases};

/// Models of mainstay's protocols: what holds, and what each rule is for.
#[derive(Parser)]
struct Arguments {
    /// Which cases.
    size: Size,
    /// Only those whose model and name contain this.
    #[arg(default_value = "")]
    part: String,
    /// Prints their names, and runs none.
    #[arg(long)]
    list: bool,
    /// Prints a shortest way to each broken guarantee, also where it must break.
    #[arg(long)]
    trace: bool,
    /// Prints one JSON object a line.
    #[arg(long)]
    json: bool,
}

fn main() -> Result<ExitCode, serde_json::Error> {
    let arguments = Arguments::parse();
    let (mut count, mut is_good) = (0, true);
    for case in cases().iter().filter(|case| case.size == arguments.size) {
        let name = format!("{} {}", case.model, case.name);
        if !name.contains(&arguments.part) {
            continue;
        }
        count += 1;
        if arguments.list {
            println!("{name}");
            continue;
        }
        let report = case.run();
        is_good &= report.is_as_expected();
        if arguments.json {
            println!("{}", serde_json::to_string(&report)?);
            continue;
        }
        println!("{report}");
        if arguments.trace || !report.is_as_expected() {
            report.broken.iter().for_each(|broken| println!("{broken}"));
        }
    }
    if count == 0 {
        println!("no case is called so: `--list` prints all names");
    }
    Ok(ExitCode::from(u8::from(!is_good || count == 0)))
}
