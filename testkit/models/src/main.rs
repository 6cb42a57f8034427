//! Runs the models, and explains what they find.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mainstay_models::{Size, cases};

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
    let (json, command) = (arguments.json, arguments.command);
    let mut chosen = cases();
    chosen.retain(|case| match &command {
        Command::Run { large: false } => case.size == Size::Small,
        Command::Run { large: true } => case.size == Size::Large,
        Command::Removed => case.size == Size::Removed,
        Command::Trace { model, rule } => case.model == model && case.name == *rule,
        Command::List => true,
    });
    if let Some(model) = arguments.model {
        chosen.retain(|case| case.model == model);
    }
    if let Some(part) = arguments.case {
        chosen.retain(|case| case.name.contains(&part));
    }
    if let Command::List = command {
        for case in &chosen {
            println!("{:?}: {} {}", case.size, case.model, case.name);
        }
        return ExitCode::SUCCESS;
    }
    if chosen.is_empty() {
        println!("no such case: `models list` names them all");
        return ExitCode::FAILURE;
    }
    let is_trace = matches!(command, Command::Trace { .. });
    let mut is_good = true;
    for case in &chosen {
        let report = case.run();
        is_good &= report.is_as_expected();
        match serde_json::to_string(&report) {
            Ok(line) if json => println!("{line}"),
            Err(error) if json => println!("{{\"error\":\"{error}\"}}"),
            _ => println!("{report}"),
        }
        if !json && (is_trace || !report.is_as_expected()) {
            for broken in &report.broken {
                println!("{broken}");
            }
        }
    }
    ExitCode::from(u8::from(!is_good))
}
