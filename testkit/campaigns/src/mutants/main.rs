//! `mutants`: the first seed that fails, with a faulty adapter or with the engines as they are built.
#![expect(clippy::print_stdout, reason = "a command-line program")]

mod adapters;

use std::{sync::Arc, thread};

use adapters::Adapter;
use clap::{Parser, ValueEnum};
use mainstay_simulation::standard::{Report, Settings, campaign, corpus};
use serde_json::json;

/// Runs the corpus and then the seeds from 0 until one fails, and prints what failed as JSON.
#[derive(Parser)]
struct Arguments {
    /// Prints the names of the faulty adapters, and what is wrong with each.
    #[arg(long)]
    list: bool,
    /// Puts this faulty adapter before its port.
    #[arg(long)]
    adapter: Option<Adapter>,
    /// How many seeds at most.
    #[arg(long, default_value_t = 20_000)]
    seeds: u64,
}

fn main() {
    let arguments = Arguments::parse();
    if arguments.list {
        let adapters = Adapter::value_variants().iter();
        let named = adapters.filter_map(ValueEnum::to_possible_value);
        let said = named.map(|value| {
            let what = value.get_help().map(ToString::to_string);
            (value.get_name().to_owned(), what)
        });
        println!("{}", json!(said.collect::<Vec<_>>()));
        return;
    }
    let mut settings = Settings::default();
    if let Some(adapter) = arguments.adapter {
        settings.adapters = Arc::new(adapter);
    }
    let threads = thread::available_parallelism().map_or(1, Into::into);
    let seeds = corpus().into_iter().chain(0..arguments.seeds);
    let tally = campaign(seeds, threads, &settings, &|_, report| !report.has_failed());
    let first = tally.failures.first();
    let found = json!({
        "run": tally.seeds,
        "seed": first.map(|report| report.seed),
        "by": first.map(Report::invariants).unwrap_or_default(),
        "report": first.map(ToString::to_string).unwrap_or_default(),
    });
    println!("{found}");
}
