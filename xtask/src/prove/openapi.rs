//! `prove openapi`: schemathesis against the application.

use anyhow::{Context as _, Result};
use cargo_metadata::camino::Utf8PathBuf;
use xshell::{Shell, cmd};

use super::said;
use crate::{report::Run, steps::CARGO, suites, workspace::Workspace};

/// The release whose options the test gives.
const RELEASE: &str = "4.32.5";

/// The test says what was sent. It passes where there is no schemathesis, unless `MAINSTAY_REQUIRE`
/// lists it.
pub(super) fn check(run: &mut Run) -> Result<()> {
    let shell = Shell::new()?;
    let program = match schemathesis(&shell) {
        Ok(program) => Some(program),
        Err(why) => {
            println!("schemathesis cannot be had: {why:#}");
            None
        }
    };
    let suite = cmd!(
        shell,
        "{CARGO} test --quiet -p commerce --test openapi -- --nocapture"
    );
    let suite = suite.envs(program.map(|program| ("SCHEMATHESIS", program)));
    let (text, outcome) = said(suite)?;
    run.counts += suites::counted(&text);
    let told: Vec<&str> = (text.lines())
        .filter_map(|line| line.trim_start_matches('.').strip_prefix("openapi: "))
        .collect();
    let told = told.join("\n");
    (run.sections).push(format!("## The API against its document\n\n{told}"));
    outcome.with_context(|| text.clone())
}

/// The program of schemathesis, in a virtual environment beside the other tools.
fn schemathesis(shell: &Shell) -> Result<Utf8PathBuf> {
    let tools = Workspace::read()?.target.join("tools");
    let home = tools.join(format!("schemathesis-{RELEASE}"));
    let program = home.join("bin/schemathesis");
    if program.exists() {
        return Ok(program);
    }
    let python = cmd!(shell, "python3 --version").quiet().ignore_stdout();
    python.run().context(
        "there is no Python: install `python3`, 3.10 or newer, with its module `venv` (Debian: python3-venv)",
    )?;
    println!("schemathesis {RELEASE} is installed into {home}");
    cmd!(shell, "python3 -m venv --clear {home}").run()?;
    let pip = home.join("bin/pip");
    let release = format!("schemathesis=={RELEASE}");
    cmd!(
        shell,
        "{pip} install --quiet --disable-pip-version-check {release}"
    )
    .run()
    .context("pip cannot install it")?;
    Ok(program)
}
