//! The steps of `cargo xtask test`. They need no tool but cargo.

use std::process::Command;

use crate::{
    report::Step,
    suites,
    workspace::{Workspace, features},
};

pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        what: "everything is formatted",
        run: |_| succeeds(Command::new(env!("CARGO")).args(["fmt", "--all", "--check"])),
    },
    Step {
        name: "clippy",
        what: "no lint complains, in both forms of the application",
        run: |_| lints(),
    },
    Step {
        name: "test",
        what: "all suites pass: tests, doctests, house rules, crashes, models, simulation, chaos",
        run: |run| suites::run(run, None, suites::EVERYTHING),
    },
    Step {
        name: "features",
        what: "each published crate builds with no feature, each alone, and all of them",
        run: |_| each_feature(),
    },
    Step {
        name: "doc",
        what: "documentation builds without warnings",
        run: |_| documentation(),
    },
];

fn lints() -> Result<(), String> {
    let forms = Workspace::read()?.forms();
    let mut forms = forms.iter();
    forms.try_for_each(|form| clippy(&format!("--all-targets {form} -- -D warnings")))
}

/// What a part of the features must not bring. A lint may be expected where only other features bring it.
pub(crate) const REFUSED: &str = "-- -D warnings -A unfulfilled_lint_expectations";

/// Code that only some features use is a warning without them, which the other steps, with all features, never see. The
/// tests are built with the default features: that is what a plain `cargo test -p` does.
fn each_feature() -> Result<(), String> {
    for package in Workspace::read()?.published() {
        let (name, all) = (&package.name, features(package).collect::<Vec<_>>());
        let alone = all.iter().map(|feature| (*feature).to_owned());
        for chosen in [String::new(), all.join(",")].into_iter().chain(alone) {
            println!("{name} with [{chosen}]");
            clippy(&format!(
                "-p {name} --lib --no-default-features --features={chosen}"
            ))?;
        }
        println!("tests of {name}");
        clippy(&format!("-p {name} --tests {REFUSED}"))?;
    }
    Ok(())
}

fn clippy(arguments: &str) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO"));
    succeeds(command.arg("clippy").args(arguments.split(' ')))
}

fn documentation() -> Result<(), String> {
    for form in Workspace::read()?.forms() {
        let mut command = Command::new(env!("CARGO"));
        command.args(["doc", "--no-deps"]).args(form.split(' '));
        succeeds(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(())
}

/// Runs a command with its output visible.
pub(crate) fn succeeds(command: &mut Command) -> Result<(), String> {
    let shown = shown(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` ended with {status}")),
        Err(error) => Err(format!("`{shown}` does not start: {error}")),
    }
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy());
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    std::iter::once(name)
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}
