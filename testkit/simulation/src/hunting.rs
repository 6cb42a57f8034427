//! `simulation mutants`: a table of what finds which bug.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use mainstay_simulation::mutants::{Bug, Hunt, hunt};

#[derive(clap::Args)]
pub(super) struct Options {
    /// With how many seeds each bug is hunted.
    #[arg(long, default_value_t = 20_000)]
    seeds: u64,
    /// Only this bug.
    #[arg(long)]
    only: Option<Bug>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// Prints the report of each bug's first seed that fails.
    #[arg(long)]
    reports: bool,
}

/// Hunts; true if a bug survived, or a seed failed without one.
pub(super) fn all(options: &Options) -> bool {
    let threads = thread::available_parallelism().map_or(1, Into::into);
    let bugs = options.only.map_or(Bug::ALL.to_vec(), |bug| vec![bug]);
    let begun = Instant::now();
    let mut hunts: Vec<Hunt> = Vec::new();
    for (nth, bug) in bugs.iter().enumerate() {
        let head = format!("{}/{} {bug}", nth + 1, bugs.len());
        let found = observed(&head, Some(*bug), options.seeds, threads);
        if options.reports
            && let Some(caught) = &found.caught
        {
            eprintln!("{bug}\n{}", caught.report);
        }
        hunts.push(found);
    }
    // As many seeds as any bug was given.
    let longest = hunts.iter().map(|hunt| hunt.seeds).max().unwrap_or(0);
    let control = observed("without a bug", None, longest.max(1_000), threads);
    if let Some(caught) = &control.caught {
        eprintln!("without a bug\n{}", caught.report);
    }
    let survivors = hunts.iter().filter(|hunt| hunt.caught.is_none()).count();
    if options.json {
        println!("{}", json(options, &hunts, &control, begun));
    } else {
        print(&hunts, &control);
        println!(
            "{} of {} bugs caught, {} s",
            hunts.len() - survivors,
            hunts.len(),
            begun.elapsed().as_secs()
        );
    }
    survivors > 0 || control.caught.is_some()
}

/// Hunts with a progress line.
fn observed(head: &str, bug: Option<Bug>, seeds: u64, threads: usize) -> Hunt {
    let (begun, done, shown) = (Instant::now(), AtomicU64::new(0), AtomicU64::new(0));
    let terminal = stderr().is_terminal();
    let pace = if terminal { 200 } else { 10_000 };
    let line = |end: &str| {
        let mut stderr = stderr();
        let (done, millis) = (done.load(Ordering::Relaxed), begun.elapsed().as_millis());
        let rate = u128::from(done) * 1_000 / millis.max(1);
        let back = if terminal { "\r" } else { "" };
        // A progress line that cannot be shown is no reason to end.
        drop(write!(
            stderr,
            "{back}{head}: {done} seeds, {rate} a second  {end}"
        ));
        drop(stderr.flush());
    };
    let found = hunt(bug, seeds, threads, &|| {
        done.fetch_add(1, Ordering::Relaxed);
        let now = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = shown.load(Ordering::Relaxed);
        if now >= last + pace
            && shown
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            line(if terminal { "" } else { "\n" });
        }
    });
    line("\n");
    found
}

fn print(hunts: &[Hunt], control: &Hunt) {
    let width = hunts
        .iter()
        .filter_map(|hunt| hunt.bug)
        .map(|bug| bug.name().len());
    let width = width.max().unwrap_or(0);
    println!(
        "{:width$}  {:>7}  what is wrong → what found it",
        "bug", "seeds"
    );
    for hunt in hunts {
        let Some(bug) = hunt.bug else { continue };
        let (seeds, by) = match &hunt.caught {
            Some(caught) => (hunt.seeds.to_string(), caught.by.join("; ")),
            None => (
                format!(">{}", hunt.seeds),
                format!("SURVIVED, come by in {} seeds", hunt.reached),
            ),
        };
        println!("{bug:width$}  {seeds:>7}  {} → {by}", bug.what());
    }
    match &control.caught {
        None => println!("without a bug: {} seeds, none failed", control.seeds),
        Some(caught) => println!(
            "without a bug: seed {} FAILED: {}",
            caught.seed,
            caught.by.join("; ")
        ),
    }
}

fn json(options: &Options, hunts: &[Hunt], control: &Hunt, begun: Instant) -> serde_json::Value {
    let one = |hunt: &Hunt| {
        serde_json::json!({
            "bug": hunt.bug.map(Bug::name),
            "what": hunt.bug.map(Bug::what),
            "seeds": hunt.seeds,
            "reached": hunt.reached,
            "caught": hunt.caught.is_some(),
            "seed": hunt.caught.as_ref().map(|caught| caught.seed),
            "by": hunt.caught.as_ref().map(|caught| caught.by.clone()),
        })
    };
    serde_json::json!({
        "seeds": options.seeds,
        "bugs": hunts.iter().map(one).collect::<Vec<_>>(),
        "control": one(control),
        "seconds": begun.elapsed().as_secs(),
    })
}
