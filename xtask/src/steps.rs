//! The steps of `cargo xtask test`. They need no tool but cargo.

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::{
    report::Step,
    suites,
    workspace::{Workspace, features},
};

pub(crate) const CARGO: &str = env!("CARGO");

pub(crate) const FIRST: &[Step] = &[
    Step {
        name: "fmt",
        what: "everything is formatted",
        run: |_| cargo("fmt --all --check"),
    },
    Step {
        name: "clippy",
        what: "no lint complains, in both forms of the application",
        run: |_| lints(),
    },
    Step {
        name: "test",
        what: "all suites pass: tests, doctests, house rules, crashes, models, simulation, chaos",
        run: |run| suites::run(run, None, None, suites::EVERYTHING),
    },
];

/// They build in the directory that the first ones build in, which is free while suites run.
pub(crate) const SECOND: &[Step] = &[
    Step {
        name: "features",
        what: "each published crate builds with no feature, each alone, and all of them",
        run: |_| each_feature(),
    },
    Step {
        name: "doc",
        what: "documentation builds without warnings, that of the application on files",
        run: |_| documentation(Workspace::read()?.forms().iter().rev().take(1)),
    },
];

fn lints() -> Result<()> {
    let forms = Workspace::read()?.forms();
    let mut forms = forms.iter();
    forms.try_for_each(|form| cargo(&format!("clippy --all-targets {form} -- -D warnings")))
}

/// The other steps have all features, so they never see code that only some features use.
fn each_feature() -> Result<()> {
    for package in Workspace::read()?.published() {
        let (name, all) = (&package.name, features(package).collect::<Vec<_>>());
        let alone = all.iter().map(|feature| (*feature).to_owned());
        for chosen in [String::new(), all.join(",")].into_iter().chain(alone) {
            let library = format!("-p {name} --lib --no-default-features --features={chosen}");
            cargo(&format!("clippy {library}"))?;
        }
    }
    Ok(())
}

/// Documents the workspace in these forms.
pub(crate) fn documentation<'f>(mut forms: impl Iterator<Item = &'f String>) -> Result<()> {
    let shell = Shell::new()?;
    shell.set_var("RUSTDOCFLAGS", "-D warnings");
    forms.try_for_each(|form| cargo_in(&shell, &format!("doc --no-deps {form}")))
}

fn cargo(arguments: &str) -> Result<()> {
    cargo_in(&Shell::new()?, arguments)
}

/// Runs cargo with its output visible.
fn cargo_in(shell: &Shell, arguments: &str) -> Result<()> {
    println!("cargo {arguments}");
    let arguments = arguments.split(' ');
    Ok(cmd!(shell, "{CARGO} {arguments...}").quiet().run()?)
}
