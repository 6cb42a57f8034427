//! The planted bugs.

use std::fmt::Write as _;

use serde::Deserialize;

use super::{grouped, output};

#[derive(Deserialize)]
struct Hunts {
    seeds: u64,
    bugs: Vec<Hunt>,
    control: Control,
}

#[derive(Deserialize)]
struct Control {
    seeds: u64,
    caught: bool,
}

#[derive(Deserialize)]
struct Hunt {
    bug: String,
    what: String,
    seeds: u64,
    /// What caught it; none = it survived.
    by: Option<Vec<String>>,
}

pub(super) fn section() -> Result<String, String> {
    // It fails if a bug survives as well: the page says which.
    let said = output(&mut crate::mutants::command(&["--json"])?)?.stdout;
    let hunts: Hunts = serde_json::from_slice(&said)
        .map_err(|error| format!("{error} in what the hunt for planted bugs said"))?;
    if hunts.control.caught {
        return Err("a seed failed without a planted bug: nothing is written of that".to_owned());
    }
    Ok(written(&hunts))
}

fn written(hunts: &Hunts) -> String {
    let mut page = format!(
        "## Planted bugs

What finds no bug proves nothing. {} small faults of the kind that people commit are planted in the relay, the worker and the
stores, behind a `--cfg` that no release sees; the same simulation hunts for each of them with {} seeds, and none may survive.
Without a bug, {} seeds passed in the same run.

| bug | what is wrong | seeds needed | what did not hold |
|---|---|---|---|
",
        hunts.bugs.len(),
        grouped(hunts.seeds),
        grouped(hunts.control.seeds),
    );
    for hunt in &hunts.bugs {
        let by = hunt.by.as_ref().map(|by| by.join("; "));
        let by = by.unwrap_or_else(|| "**survived**".to_owned());
        // Writing to text does not fail.
        let _: Result<(), _> = writeln!(
            page,
            "| `{}` | {} | {} | {by} |",
            hunt.bug,
            hunt.what,
            grouped(hunt.seeds)
        );
    }
    page.push_str("\nAgain: `cargo xtask mutants`.\n");
    page
}
