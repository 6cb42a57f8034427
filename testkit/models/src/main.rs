//! Runs the models, and explains what they find.
#![expect(
    clippy::print_stdout,
    reason = "its reports are for whoever started it"
)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mainstay_models::{Case, Report, Size, cases};

/// Models of mainstay's protocols: what holds, and what each rule is for.
#[derive(Parser)]
struct Arguments {
    /// One JSON object a line, for each case.
    #[arg(long, global = true)]
    json: bool,
    /// Only this model.
    #[arg(long, global = true)]
    model: Option<String>,
    /// Only cases whose name contains this.
    #[arg(long, global = true)]
    case: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Explores the protocols with all their rules.
    Run {
        /// The bounds that take minutes, instead of those that take seconds.
        #[arg(long)]
        large: bool,
    },
    /// Explores them without each of their rules in turn: each must break something.
    Removed,
    /// Prints a shortest way to break a model without one of its rules.
    Trace {
        /// As `list` names it.
        model: String,
        /// As `list` names it.
        rule: String,
    },
    /// Lists all cases.
    List,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut chosen = cases();
    if let Some(model) = &arguments.model {
        chosen.retain(|case| case.model() == model);
    }
    if let Some(part) = &arguments.case {
        chosen.retain(|case| case.name().contains(part));
    }
    match &arguments.command {
        Command::Run { large: false } => chosen.retain(|case| case.size() == Size::Small),
        Command::Run { large: true } => chosen.retain(|case| case.size() == Size::Large),
        Command::Removed => chosen.retain(|case| case.size() == Size::Removed),
        Command::Trace { model, rule } => {
            chosen.retain(|case| case.model() == model && case.name() == rule);
        }
        Command::List => {
            for case in &chosen {
                println!("{:?}: {} {}", case.size(), case.model(), case.name());
            }
            return ExitCode::SUCCESS;
        }
    }
    if chosen.is_empty() {
        println!("no such case: `models list` names them all");
        return ExitCode::FAILURE;
    }
    let traced = matches!(arguments.command, Command::Trace { .. });
    let mut good = true;
    for case in &chosen {
        good &= told(case, arguments.json, traced);
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs a case and prints what it found; answers whether it came as expected.
fn told(case: &Case, json: bool, traced: bool) -> bool {
    let report = case.run();
    if json {
        print_json(&report);
    } else {
        println!("{report}");
        if traced || !report.is_as_expected() {
            for broken in &report.broken {
                println!("{broken}");
            }
        }
    }
    report.is_as_expected()
}

fn print_json(report: &Report) {
    match serde_json::to_string(report) {
        Ok(line) => println!("{line}"),
        Err(error) => println!("{{\"error\":\"{error}\"}}"),
    }
}
