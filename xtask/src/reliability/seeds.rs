//! The simulation's seeds.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Deserialize;

use super::{grouped, objects};
use crate::proof;

/// What a campaign came to.
#[derive(Deserialize)]
struct Tally {
    seeds: u64,
    failed: u64,
    messages: u64,
    fewest_messages: u64,
    faults: u64,
    fewest_faults: u64,
    events: u64,
    simulated_ms: u64,
    seconds: f64,
    threads: usize,
    /// How often each kind of fault struck.
    kinds: BTreeMap<String, u64>,
}

pub(super) fn section(minutes: &str) -> Result<String, String> {
    let run = proof::simulation(&["soak", "--from", "0", "--minutes", minutes, "--json"]);
    let tally: Tally = objects(run)?.pop().ok_or("the simulation said nothing")?;
    Ok(written(&tally))
}

fn written(tally: &Tally) -> String {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate"
    )]
    let rate = (tally.seeds as f64 / tally.seconds.max(0.001)) as u64;
    let mut page = format!(
        "## Simulation

The unmodified relay and worker, on databases and a broker in memory, on a paused clock. Everything that goes wrong is drawn
from a seed, printed as a plan, and repeated exactly by the same seed. At the end the faults heal, and all must become quiet and
complete. Then every invariant of `mainstay_testkit::check` is asked; of cursors there is nothing to ask, since no engine has any yet.

| seeds | failed | messages (fewest a seed) | faults that struck (fewest a seed) | events | simulated time | rate |
|---|---|---|---|---|---|---|
| {} | {} | {} ({}) | {} ({}) | {} | {} h | {} seeds a second on {} threads |

| what struck | times |
|---|---|
",
        grouped(tally.seeds),
        tally.failed,
        grouped(tally.messages),
        tally.fewest_messages,
        grouped(tally.faults),
        tally.fewest_faults,
        grouped(tally.events),
        grouped(tally.simulated_ms / 3_600_000),
        grouped(rate),
        tally.threads,
    );
    for (kind, times) in &tally.kinds {
        // Writing to text does not fail.
        let _: Result<(), _> = writeln!(page, "| {kind} | {} |", grouped(*times));
    }
    page.push_str(
        "
Again: `cargo xtask simulate --seeds N`; one seed: `cargo xtask simulate --seed N`; for hours: `cargo xtask soak --minutes N`.
",
    );
    page
}
