//! The models.

use std::fmt::Write as _;

use serde::Deserialize;

use super::{grouped, objects};
use crate::proof::program;

#[derive(Deserialize)]
struct Case {
    model: String,
    #[serde(rename = "case")]
    bounds: String,
    breaks: Option<String>,
    states: u64,
    depth: u64,
    complete: bool,
    broken: Vec<Broken>,
}

#[derive(Deserialize)]
struct Broken {
    property: String,
    steps: Vec<serde::de::IgnoredAny>,
}

pub(super) fn section() -> Result<String, String> {
    let run = |what| objects(program("mainstay-models", "models", &["--json", what]));
    Ok(written(&run("run")?, &run("removed")?))
}

fn written(good: &[Case], removed: &[Case]) -> String {
    let mut page = "## Models

The protocols as state machines, every interleaving within bounds, breadth first (stateright). With all rules every guarantee
holds; without any one rule a guarantee breaks, in as many steps as said.

| model | bounds | states | depth | all of them | violations |
|---|---|---|---|---|---|
"
    .to_owned();
    for case in good {
        let all = if case.complete { "yes" } else { "no" };
        // Writing to text does not fail.
        let _: Result<(), _> = writeln!(
            page,
            "| {} | {} | {} | {} | {all} | {} |",
            case.model,
            case.bounds,
            grouped(case.states),
            case.depth,
            case.broken.len()
        );
    }
    page.push_str("\n| model | without the rule | breaks | in steps |\n|---|---|---|---|\n");
    for case in removed {
        let breaks = case.breaks.as_deref().unwrap_or_default();
        let broken = case.broken.iter().find(|broken| broken.property == breaks);
        let steps = broken.map_or(0, |broken| broken.steps.len());
        let _: Result<(), _> = writeln!(
            page,
            "| {} | {} | {breaks} | {steps} |",
            case.model, case.bounds
        );
    }
    page.push_str(
        "\nAgain: `cargo run --profile proof -p mainstay-models -- run`, `… -- removed`; a shortest way to a violation: `… -- trace MODEL RULE`.\n",
    );
    page
}
