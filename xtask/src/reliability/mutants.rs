//! The planted bugs.

use std::fmt::Write as _;

use serde::Deserialize;

use super::{grouped, objects};

#[derive(Deserialize)]
struct Hunts {
    seeds: u64,
    bugs: Vec<Hunt>,
    control: Control,
}

#[derive(Deserialize)]
struct Control {
    seeds: u64,
}

#[derive(Deserialize)]
struct Hunt {
    bug: String,
    what: String,
    seeds: u64,
    #[serde(default)]
    by: Vec<String>,
}

pub(super) fn section() -> Result<String, String> {
    let hunts: Hunts = objects(crate::mutants::command(&["--json"])?)?
        .pop()
        .ok_or("the hunt for planted bugs said nothing")?;
    Ok(written(&hunts))
}

fn written(hunts: &Hunts) -> String {
    let mut page = format!(
        "## Planted bugs

What finds no bug proves nothing. {} small faults of the kind that people commit are planted in the relay, the worker and the
stores, behind a `--cfg` that no release sees; the same simulation hunts for each of them, and none may survive {} seeds.
Without a bug, {} seeds passed in the same run.

| bug | what is wrong | seeds needed | what did not hold |
|---|---|---|---|
",
        hunts.bugs.len(),
        grouped(hunts.seeds),
        grouped(hunts.control.seeds),
    );
    for hunt in &hunts.bugs {
        let by = hunt.by.join("; ");
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
