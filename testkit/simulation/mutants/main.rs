//! `mutants`: the first seed that fails, with one of the faulty adapters or with the engines as they are built.
#![expect(clippy::print_stdout, reason = "a command-line program")]

mod adapters;

use std::thread;

use adapters::Adapter;
use clap::{Parser, ValueEnum};
use mainstay_simulation::{Campaign, Settings, campaign, corpus};
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
    let settings = match arguments.adapter {
        None => Settings::new(),
        Some(adapter) => Settings::new().adapters(adapter),
    };
    println!("{}", hunt(&settings, arguments.seeds));
}

fn hunt(settings: &Settings, most: u64) -> serde_json::Value {
    let threads = thread::available_parallelism().map_or(1, Into::into);
    let mut run = 0;
    let known = corpus().into_iter().map(|seed| (seed, 1));
    for (from, count) in known.chain([(0, most)]) {
        let seeds = Campaign {
            from,
            count,
            threads,
        };
        let tally = campaign(&seeds, settings, &|report| !report.has_failed());
        run += tally.seeds;
        // Seeds are begun in their order and come to their end: no lower one fails.
        if let Some(report) = tally.failures.first() {
            return json!({ "run": run, "seed": report.seed, "by": report.invariants(), "report": report.to_string() });
        }
    }
    json!({ "run": run, "seed": null, "by": [], "report": "" })
}
