//! `cargo xtask prove`: the checks that take hours. Their counts stay in `target/prove`, with a report.

mod openapi;

use std::{
    env, fs,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use cargo_metadata::camino::Utf8PathBuf;
use mainstay_testkit::postgres;
use serde_json::{Deserializer, Value};
use xshell::{Cmd, Shell, cmd};

use crate::{
    mutants,
    report::{self, Run, Step, table},
    steps::{CARGO, documentation},
    suites,
    workspace::{ON_SERVERS, Workspace},
};

/// The oldest and the newest PostgreSQL that the suites run on.
const VERSIONS: [u32; 2] = [15, 18];

/// How often the chaos tests run: their faults strike at other moments each time.
const ROUNDS: u64 = 5;

/// How often all suites run, to find those that fail now and then.
const ROUNDS_OF_ALL: u64 = 10;

pub(crate) const PARTS: &[Step] = &[
    Step {
        name: "supply",
        what: "dependencies have licences, sources and no known vulnerability, as deny.toml says",
        run: |_| supply(),
    },
    Step {
        name: "features",
        what: "each published crate builds with each pair of its features, and its tests with the default ones",
        run: |_| pairs(),
    },
    Step {
        name: "doc",
        what: "documentation builds without warnings, that of the application on servers, too",
        run: |_| documentation(Workspace::read()?.forms().iter()),
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
        name: "rounds",
        what: "all suites pass ten times in a row",
        run: |run| {
            (0..ROUNDS_OF_ALL).try_for_each(|_| suites::run(run, None, None, suites::EVERYTHING))
        },
    },
    Step {
        name: "chaos",
        what: "the chaos tests pass five times, each time with other moments; the shop as nine processes outlives outages",
        run: chaos,
    },
    Step {
        name: "browser",
        what: "people buy, watch and act in Chromium; the pictures are in target/screenshots",
        run: |_| browser(),
    },
    Step {
        name: "openapi",
        what: "schemathesis gets no 5xx and no answer that the API's document does not name",
        run: openapi::check,
    },
];

/// Runs the parts named, or all, and writes down what they did and what was not run.
pub(crate) fn run(parts: &[String], mutant: Option<String>) -> Result<()> {
    let run = Run {
        mutant,
        ..Run::default()
    };
    let report = report::run(PARTS, &[], parts, run);
    let title = "# What `cargo xtask prove` ran";
    let page = [&[title.to_owned(), report.table()], &*report.run.sections].concat();
    let path = keep("report.md", page.join("\n\n"))?;
    println!("\n{path} is written");
    report.end()
}

/// Writes an artefact.
fn keep(name: &str, text: String) -> Result<Utf8PathBuf> {
    let folder = Workspace::read()?.target.join("prove");
    let path = folder.join(name);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
    written.with_context(|| path.to_string())?;
    Ok(path)
}

/// Passes arguments on to the simulation.
pub(crate) fn simulate(arguments: &[String]) -> Result<()> {
    let shell = Shell::new()?;
    let simulation = program(&shell, "simulation")?;
    Ok(simulation.args(arguments).quiet().run()?)
}

/// A program of the test kit, optimised, with debug assertions.
fn program<'a>(shell: &'a Shell, name: &str) -> Result<Cmd<'a>> {
    let program = Workspace::read()?.program(name)?;
    Ok(cmd!(
        shell,
        "{CARGO} run --quiet --profile proof {program...} --"
    ))
}

/// A shell that finds this command of cargo: built into `target/tools` if it is not installed.
fn shell_with(tool: &str) -> Result<Shell> {
    let (shell, root) = (Shell::new()?, Workspace::read()?.target.join("tools"));
    let places = env::var_os("PATH").unwrap_or_default();
    let paths = env::split_paths(&places).chain([root.join("bin").into()]);
    shell.set_var("PATH", env::join_paths(paths)?);
    let version = cmd!(shell, "{tool} --version").quiet().ignore_stdout();
    if version.run().is_err() {
        println!("{tool} is not installed; building it into {root}, which takes minutes");
        cmd!(shell, "{CARGO} install --locked --root {root} {tool}").run()?;
    }
    Ok(shell)
}

/// The check that needs no network comes first, and counts even where there is none.
fn supply() -> Result<()> {
    let shell = shell_with("cargo-deny")?;
    let lists = cmd!(shell, "cargo-deny deny check licenses bans sources").run();
    cmd!(shell, "cargo-deny deny check advisories").run()?;
    Ok(lists?)
}

/// Lints are errors. An `expect` may be unfulfilled while some features are off.
const REFUSED: &str = "-- -D warnings -A unfulfilled_lint_expectations";

/// Each pair, and the tests with the default features, as a plain `cargo test -p` builds them.
fn pairs() -> Result<()> {
    let (shell, workspace) = (shell_with("cargo-hack")?, Workspace::read()?);
    let packages = (workspace.published()).flat_map(|package| ["-p", &package.name]);
    let subsets = ["--feature-powerset", "--depth", "2"];
    let clippy = cmd!(
        shell,
        "cargo-hack hack clippy --lib {subsets...} {packages...}"
    );
    let pairs = clippy.args(REFUSED.split(' ')).run();
    (workspace.published()).try_for_each(|package| {
        let (name, refused) = (package.name.as_str(), REFUSED.split(' '));
        let clippy = cmd!(shell, "{CARGO} clippy -p {name} --tests {refused...}");
        clippy.run()
    })?;
    Ok(pairs?)
}

fn models(run: &mut Run) -> Result<()> {
    let shell = Shell::new()?;
    let mut models = |title, size, columns: &[&str]| {
        let program = program(&shell, "models")?.args([size, "--json"]);
        counted(run, title, columns, program)
    };
    let columns = ["model", "case", "states", "depth", "complete", "seconds"];
    let large = models("Models within large bounds", "large", &columns);
    let columns = ["model", "case", "breaks", "states"];
    models("Models without each rule", "removed", &columns).and(large)
}

fn seeds(run: &mut Run) -> Result<()> {
    let shell = Shell::new()?;
    let seeds = program(&shell, "simulation")?.args(["seeds", "--count", "100000"]);
    let columns = [
        "seeds",
        "failed",
        "messages",
        "faults",
        "events",
        "simulated_ms",
        "seconds",
    ];
    counted(run, "Seeds of the simulation", &columns, seeds)
}

fn hunt(run: &mut Run) -> Result<()> {
    let (rows, wrong) = mutants::hunt(run.mutant.as_deref())?;
    keep("mutants.json", Value::from(rows.clone()).to_string())?;
    let columns = ["name", "what", "run", "seed", "by"];
    run.sections.push(section("Mutants", &columns, &rows));
    ensure!(wrong.is_empty(), wrong.join("\n"));
    Ok(())
}

/// The tests say at how many points they struck, where their output is not captured.
fn crashes(run: &mut Run) -> Result<()> {
    let shell = Shell::new()?;
    let packages = [
        "outbox",
        "inbox",
        "dlq",
        "dlock",
        "idempotency",
        "saga",
        "eventstore",
    ];
    let packages = packages.map(|name| format!("-pmainstay-{name}"));
    let tests = cmd!(shell, "{CARGO} test --quiet --all-features --test it");
    let tests =
        tests
            .args(packages)
            .args(["--", "--nocapture", "crash", "wherever_its_process_ends"]);
    suites::with_servers(run, None, |run, environment| {
        let (text, outcome) = said(tests.envs(environment.to_vec()))?;
        run.counts += suites::counted(&text);
        // The harness prints dots in between.
        let lines = text.lines().map(|line| line.trim_start_matches('.'));
        let mut struck: Vec<&str> = lines.filter(|line| line.contains(": struck at ")).collect();
        struck.sort_unstable();
        (run.sections).push(format!("## Crashes\n\n{}", struck.join("\n")));
        outcome.with_context(|| text.clone())?;
        ensure!(!struck.is_empty(), "no test was struck:\n{text}");
        Ok(())
    })
}

fn on_each_version(run: &mut Run) -> Result<()> {
    if env::var_os(postgres::URL).is_some() {
        let url = postgres::URL;
        bail!("{url} names one server; unset it, since each version needs its own");
    }
    let outcomes = VERSIONS.map(|version| {
        let outcome = suites::run(run, Some(version), None, suites::ON_SERVERS);
        outcome.with_context(|| format!("with PostgreSQL {version}"))
    });
    outcomes.into_iter().collect()
}

fn chaos(run: &mut Run) -> Result<()> {
    (1..=ROUNDS).try_for_each(|seed| suites::run(run, None, Some(seed), suites::CHAOS))?;
    outages(run)
}

/// The application as nine processes, whose servers go away; the test says what it counted.
fn outages(run: &mut Run) -> Result<()> {
    let shell = Shell::new()?;
    let suite = cmd!(
        shell,
        "{CARGO} test --quiet -p commerce --features {ON_SERVERS} --test outages -- --nocapture"
    );
    suites::with_servers(run, None, |run, environment| {
        let (text, outcome) = said(suite.envs(environment.to_vec()))?;
        run.counts += suites::counted(&text);
        let counted: Vec<&str> = (text.lines())
            .filter_map(|line| line.trim_start_matches('.').strip_prefix("outage: "))
            .collect();
        (run.sections).push(format!(
            "## Outages of the application\n\n{}",
            counted.join("\n")
        ));
        outcome.with_context(|| text.clone())
    })
}

/// Passes over the test where there is no browser, unless `MAINSTAY_REQUIRE` lists `chromium`.
fn browser() -> Result<()> {
    let shell = Shell::new()?;
    let test = cmd!(shell, "{CARGO} test --quiet -p commerce --test browser");
    Ok(test.args(["--", "--nocapture"]).run()?)
}

/// Runs a program that prints JSON objects: they are kept as an artefact and become a section.
fn counted(run: &mut Run, title: &str, columns: &[&str], program: Cmd<'_>) -> Result<()> {
    let (text, outcome) = said(program)?;
    let objects = Deserializer::from_str(&text).into_iter();
    let objects: Vec<Value> = objects.map_while(Result::ok).collect();
    run.sections.push(section(title, columns, &objects));
    let name = title.to_lowercase().replace(' ', "-") + ".json";
    keep(&name, Value::from(objects.clone()).to_string())?;
    ensure!(!objects.is_empty(), "no counts of {title}: {text}");
    outcome
}

/// What a command prints, and whether it succeeded; its errors are visible.
fn said(command: Cmd<'_>) -> Result<(String, Result<()>)> {
    let shown = command.to_string();
    println!("{shown}");
    let output = Command::from(command).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (status, succeeded) = (output.status, output.status.success());
    let outcome = succeeded
        .then_some(())
        .with_context(|| format!("`{shown}` ended with {status}"));
    Ok((text, outcome))
}

/// Objects as a table of Markdown.
fn section(title: &str, columns: &[&str], rows: &[Value]) -> String {
    let cell = |value: &Value| match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items = items.iter().map(|item| item.as_str().unwrap_or_default());
            items.collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    };
    let rows = rows.iter();
    let rows = rows.map(|row| columns.iter().map(|column| cell(&row[column])).collect());
    format!("## {title}\n\n{}", table(columns, rows))
}

#[test]
fn objects_become_rows() {
    let rows = [serde_json::json!({"name": "a", "seed": null, "by": ["x", "y"], "run": 7})];
    let text = section("Mutants", &["name", "seed", "by", "run"], &rows);
    assert!(
        text.ends_with("| name | seed | by | run |\n|---|---|---|---|\n| a | – | x; y | 7 |"),
        "{text}"
    );
}

#[test]
fn each_part_runs_every_night() {
    let workflow = include_str!("../../.github/workflows/nightly.yml");
    let (_, parts) = workflow.split_once("parts:\n").unwrap();
    let (parts, _) = parts.split_once("steps:").unwrap();
    let words: Vec<&str> = parts.split_whitespace().collect();
    for part in PARTS {
        assert!(words.contains(&part.name), "{}", part.name);
    }
}
