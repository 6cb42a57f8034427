//! What there is to run: executables of both forms of the application, doctests, and seeds.

use std::{
    cmp::Reverse,
    collections::{HashSet, VecDeque},
    fs,
    io::{BufReader, ErrorKind},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{Artifact, Message, camino::Utf8Path};

use super::{Choice, Suite};
use crate::workspace::Workspace;

/// How many seeds of the simulation a run tries, beside the corpus.
const SEEDS: &str = "1000";

/// Tests of the application that no database has a part in: one form suffices.
const NO_DATABASE: [&str; 3] = ["settings::", "slow_clients::", "input::"];

/// What cargo built, as JSON; what the compiler has to say, as usual.
const FORMAT: &str = "--message-format=json-render-diagnostics";

/// Builds both forms, and lists the suites in them.
pub(super) fn build(choice: Choice) -> Result<VecDeque<Suite>> {
    let workspace = Workspace::read()?;
    let forms = workspace.forms();
    let mut doctests = Command::new(env!("CARGO"));
    doctests
        .args(["test", "--doc", "--no-fail-fast"])
        .args(forms.iter().rev().take(1).flat_map(|form| form.split(' ')));
    let mut suites = vec![Suite {
        name: "doctests".to_owned(),
        package: String::new(),
        on_servers: false,
        command: doctests,
        size: u64::MAX,
    }];
    let mut seen = HashSet::new();
    for (nth, form) in (1..).zip(&forms) {
        let artifacts = executables(form)?;
        let programs = kept(&artifacts, &workspace.target.join(format!("suites/{nth}")))?;
        for artifact in artifacts {
            let Some(path) = artifact.executable else {
                continue;
            };
            let folder = artifact.manifest_path.parent().unwrap_or(&workspace.root);
            let mut packages = workspace.packages.iter();
            let package = packages.find(|package| package.id == artifact.package_id);
            let package = package.with_context(|| format!("{path} is of no package"))?;
            let target = &*artifact.target.name;
            // The forms differ in the application; what else they hold need not run twice.
            let form = workspace.is_application(package).then_some(nth);
            let is_test = artifact.profile.test;
            if !seen.insert((package.id.clone(), target.to_owned(), is_test, form)) {
                continue;
            }
            let patient = [
                "mainstay-campaigns",
                "mainstay-models",
                "mainstay-simulation",
            ]
            .contains(&package.name.as_str());
            // What explores has no deadlines, so it leaves the cores to what has.
            let mut command = Command::new(if patient { "nice" } else { path.as_str() });
            command.args(patient.then_some(path.as_str()));
            // As cargo would run it, but that the programs are those of its form.
            command
                .current_dir(folder)
                .env("CARGO_MANIFEST_DIR", folder)
                .envs(programs.clone());
            let is_application = workspace.is_application(package);
            let on_servers = is_application && nth < forms.len();
            let place = if on_servers { " on servers" } else { "" };
            let (name, owner) = match (artifact.profile.test, target) {
                (true, _) => (
                    format!("{} {target}{place}", package.name),
                    package.name.as_str(),
                ),
                (false, "simulation") => (format!("{SEEDS} seeds of the simulation"), ""),
                (false, _) => continue,
            };
            if on_servers && target == "it" {
                command.args(NO_DATABASE.iter().flat_map(|tests| ["--skip", tests]));
            }
            if owner.is_empty() {
                command.args(["seeds", "--count", SEEDS]);
            }
            suites.push(Suite {
                name,
                package: owner.to_owned(),
                on_servers,
                command,
                size: match path.metadata() {
                    Ok(file) if !is_application => file.len(),
                    _ => u64::MAX,
                },
            });
        }
    }
    let is_explored = suites.iter().any(|suite| suite.name.starts_with(SEEDS));
    let may_be_explored = workspace.program("simulation").is_ok();
    ensure!(
        is_explored || !may_be_explored,
        "cargo did not build the program `simulation`, so no seed would run"
    );
    suites.retain_mut(|suite| {
        let filter = choice(suite);
        suite.command.args(filter.filter(|text| !text.is_empty()));
        filter.is_some()
    });
    suites.sort_by_key(|suite| Reverse(suite.size));
    Ok(suites.into())
}

/// Builds one form; the compiler's progress stays visible.
fn executables(form: &str) -> Result<Vec<Artifact>> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--no-run", FORMAT]);
    let child = command.args(form.split(' ')).stdout(Stdio::piped()).spawn();
    let mut child = child.context("cargo does not start")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut artifacts = Vec::new();
    for message in Message::parse_stream(BufReader::new(output)) {
        if let Message::CompilerArtifact(artifact) = message.context("what cargo says")? {
            artifacts.push(artifact);
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "the tests do not build: {status}");
    Ok(artifacts)
}

/// Keeps the programs of a form from those of the next; answers how its tests find them.
fn kept(artifacts: &[Artifact], folder: &Utf8Path) -> Result<Vec<(String, String)>> {
    fs::create_dir_all(folder).with_context(|| folder.to_string())?;
    let mut programs = Vec::new();
    for artifact in artifacts.iter().filter(|artifact| !artifact.profile.test) {
        let Some(program) = &artifact.executable else {
            continue;
        };
        let name = &artifact.target.name;
        let link = folder.join(name);
        match fs::remove_file(&link) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => fs::hard_link(program, &link).with_context(|| link.to_string())?,
        }
        programs.push((format!("CARGO_BIN_EXE_{name}"), link.into_string()));
    }
    Ok(programs)
}
