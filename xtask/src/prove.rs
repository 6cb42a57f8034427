//! `cargo xtask prove`: the checks that take hours. What they count is left in `target/prove`, with a report to read.

use std::{
    env,
    fmt::Write as _,
    fs,
    process::{Command, Stdio},
};

use cargo_metadata::camino::Utf8PathBuf;
use mainstay_testkit::postgres;
use serde_json::{Deserializer, Value};

use crate::{
    mutants,
    report::{self, Run, Step},
    steps::{REFUSED, shown, succeeds},
    suites,
    workspace::Workspace,
};

/// The oldest and the newest PostgreSQL that the suites run on.
const VERSIONS: [u32; 2] = [15, 18];

/// How often the chaos tests run: their faults strike at other moments each time.
const ROUNDS: u64 = 5;

pub(crate) const PARTS: &[Step] = &[
    Step {
        name: "supply",
        what: "dependencies have licences, sources and no known vulnerability, as deny.toml says",
        run: |_| supply(),
    },
    Step {
        name: "features",
        what: "each published crate builds with each pair of its features",
        run: |_| pairs(),
    },
    Step {
        name: "models",
        what: "models hold within large bounds, and break without each of their rules",
        run: models,
    },
    Step {
        name: "seeds",
        what: "100,000 seeds of the simulation pass",
        run: seeds,
    },
    Step {
        name: "mutants",
        what: "the simulation finds each mutant",
        run: hunt,
    },
    Step {
        name: "crashes",
        what: "relays and workers that end at each await and each call lose and double nothing",
        run: crashes,
    },
    Step {
        name: "servers",
        what: "the suites on PostgreSQL pass on 15 and on 18",
        run: on_each_version,
    },
    Step {
        name: "chaos",
        what: "the chaos tests pass five times, each time with other moments",
        run: chaos,
    },
];

/// Runs the parts named, or all, and writes down what they did and what was not run.
pub(crate) fn run(parts: &[String], mutant: Option<String>) -> Result<(), String> {
    let run = Run {
        mutant,
        ..Run::default()
    };
    let report = report::run(PARTS, parts, run);
    let title = "# What `cargo xtask prove` ran";
    let page = [&[title.to_owned(), report.table()], &*report.run.sections].concat();
    let path = folder()?.join("report.md");
    fs::write(&path, page.join("\n\n")).map_err(|error| format!("{path}: {error}"))?;
    println!("\n{path} is written");
    report.end()
}

/// Passes arguments on to the simulation.
pub(crate) fn simulate(arguments: &[String]) -> Result<(), String> {
    let program = program("mainstay-simulation", "simulation");
    succeeds({ program }.args(arguments))
}

/// A program of the workspace, optimised, with debug assertions.
fn program(package: &str, binary: &str) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--profile", "proof"]);
    command.args(["--package", package, "--bin", binary, "--"]);
    command
}

/// A command of cargo that is not part of it: built into `target/tools` if it is not installed.
fn tool(name: &str) -> Result<Command, String> {
    let root = Workspace::read()?.target.join("tools");
    let places = env::var_os("PATH").unwrap_or_default();
    let paths = env::split_paths(&places).chain([root.join("bin").into()]);
    let path = env::join_paths(paths).map_err(|error| format!("PATH: {error}"))?;
    let mut version = Command::new(name);
    version
        .arg("--version")
        .env("PATH", &path)
        .stdout(Stdio::null());
    if !version.status().is_ok_and(|status| status.success()) {
        println!("{name} is not installed; building it into {root}, which takes minutes");
        let mut install = Command::new(env!("CARGO"));
        install.args(["install", "--locked", "--root", root.as_str(), name]);
        // Outside the workspace, whose toolchain and settings are not the tool's business.
        succeeds(&mut install)?;
    }
    let mut command = Command::new(name);
    command.env("PATH", path);
    Ok(command)
}

/// What a network is not needed for comes first, and is told of even where there is none.
fn supply() -> Result<(), String> {
    let check = |what: &[&str]| succeeds(tool("cargo-deny")?.args(["deny", "check"]).args(what));
    let lists = check(&["licenses", "bans", "sources"]);
    check(&["advisories"]).and(lists)
}

fn pairs() -> Result<(), String> {
    let mut command = tool("cargo-hack")?;
    command.args([
        "hack",
        "clippy",
        "--lib",
        "--feature-powerset",
        "--depth",
        "2",
    ]);
    for package in Workspace::read()?.published() {
        command.args(["-p", &package.name]);
    }
    succeeds(command.args(REFUSED.split(' ')))
}

fn models(run: &mut Run) -> Result<(), String> {
    let models = || program("mainstay-models", "models");
    let large = kept("models-large", models().args(["--json", "run", "--large"]));
    let removed = kept("models-removed", models().args(["--json", "removed"]));
    let columns = ["model", "case", "states", "depth", "complete"];
    run.sections
        .push(section("Models within large bounds", &columns, &large.0));
    let columns = ["model", "case", "breaks", "states"];
    run.sections
        .push(section("Models without each rule", &columns, &removed.0));
    large.1.and(removed.1)
}

fn seeds(run: &mut Run) -> Result<(), String> {
    let mut program = program("mainstay-simulation", "simulation");
    let (tally, outcome) = kept(
        "seeds",
        program.args(["seeds", "--count", "100000", "--json"]),
    );
    let columns = [
        "seeds",
        "failed",
        "messages",
        "faults",
        "events",
        "simulated_ms",
        "seconds",
    ];
    run.sections
        .push(section("Seeds of the simulation", &columns, &tally));
    outcome
}

fn hunt(run: &mut Run) -> Result<(), String> {
    let only = run.mutant.as_deref().map(|name| ["--only", name]);
    let outcome = mutants::run(only.as_ref().map_or(&[], <[_; 2]>::as_slice));
    let path = folder()?.join("mutants.json");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let found: Value = serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
    let hunts = found["mutants"].as_array().cloned().unwrap_or_default();
    run.sections
        .push(section("Mutants", &["name", "what", "seed", "by"], &hunts));
    outcome
}

/// The tests say at how many points they struck, where their output is not captured.
fn crashes(run: &mut Run) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--quiet", "--all-features", "--test", "it"]);
    command.args([
        "-p",
        "mainstay-outbox",
        "-p",
        "mainstay-inbox",
        "-p",
        "mainstay-dlock",
        "--",
        "--nocapture",
        "crash",
    ]);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut struck: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(": struck at "))
        .collect();
    struck.sort_unstable();
    run.sections
        .push(format!("## Crashes\n\n{}", struck.join("\n")));
    if output.status.success() && !struck.is_empty() {
        return Ok(());
    }
    Err(format!(
        "`{}` ended with {}:\n{text}",
        shown(&command),
        output.status
    ))
}

fn on_each_version(run: &mut Run) -> Result<(), String> {
    if env::var_os(postgres::URL).is_some() {
        let url = postgres::URL;
        return Err(format!(
            "{url} names one server; unset it, since each version needs its own"
        ));
    }
    let outcomes = VERSIONS.map(|version| {
        let outcome = suites::run(run, Some(version), suites::ON_SERVERS);
        outcome.map_err(|error| format!("with PostgreSQL {version}: {error}"))
    });
    outcomes.into_iter().collect()
}

fn chaos(run: &mut Run) -> Result<(), String> {
    (0..ROUNDS).try_for_each(|_| suites::run(run, None, suites::CHAOS))
}

/// The JSON objects that a command prints, which are kept as an artefact, and whether it succeeded.
fn kept(name: &str, command: &mut Command) -> (Vec<Value>, Result<(), String>) {
    let shown = shown(command);
    println!("{shown}");
    let outcome = command.stderr(Stdio::inherit()).output();
    let output = match outcome {
        Ok(output) => output,
        Err(error) => {
            return (
                Vec::new(),
                Err(format!("`{shown}` does not start: {error}")),
            );
        }
    };
    let objects: Vec<Value> = Deserializer::from_slice(&output.stdout)
        .into_iter()
        .map_while(Result::ok)
        .collect();
    let written = folder().and_then(|folder| {
        let path = folder.join(name).with_extension("json");
        fs::write(&path, Value::from(objects.clone()).to_string())
            .map_err(|error| format!("{path}: {error}"))
    });
    let outcome = match output.status.success() {
        true if objects.is_empty() => Err(format!("`{shown}` said nothing")),
        true => written,
        false => Err(format!("`{shown}` ended with {}", output.status)),
    };
    (objects, outcome)
}

/// Where the artefacts lie.
fn folder() -> Result<Utf8PathBuf, String> {
    let folder = Workspace::read()?.target.join("prove");
    fs::create_dir_all(&folder).map_err(|error| format!("{folder}: {error}"))?;
    Ok(folder)
}

/// Objects as a table of Markdown.
fn section(title: &str, columns: &[&str], rows: &[Value]) -> String {
    let mut text = format!(
        "## {title}\n\n| {} |\n|{}\n",
        columns.join(" | "),
        "---|".repeat(columns.len())
    );
    for row in rows {
        let cells = columns.iter().map(|column| match &row[column] {
            Value::Null => "–".to_owned(),
            Value::String(text) => text.clone(),
            Value::Array(items) => {
                let items = items.iter().map(|item| item.as_str().unwrap_or_default());
                items.collect::<Vec<_>>().join("; ")
            }
            other => other.to_string(),
        });
        // Writing to text does not fail.
        let _: Result<(), _> = writeln!(text, "| {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    text
}

#[test]
fn objects_become_rows() {
    let rows = [serde_json::json!({"name": "a", "seed": null, "by": ["x", "y"], "run": 7})];
    let text = section("Mutants", &["name", "seed", "by", "run"], &rows);
    assert!(
        text.ends_with("| name | seed | by | run |\n|---|---|---|---|\n| a | – | x; y | 7 |\n"),
        "{text}"
    );
}
