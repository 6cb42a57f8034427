//! The steps of `cargo xtask test`.

use std::process::{Command, ExitStatus};

use crate::{
    features,
    forms::Forms,
    report::{self, Run, Step},
    suites, supply,
};

pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        what: "everything is formatted",
        run: |_| cargo(&["fmt", "--all", "--check"]),
    },
    Step {
        name: "deny",
        what: "dependencies have licences and sources that deny.toml allows",
        run: |_| supply::check(),
    },
    Step {
        name: "features",
        what: "every combination of each package's features builds",
        run: |_| features::every_combination(),
    },
    Step {
        name: "clippy",
        what: "no lint complains",
        run: |_| lints(),
    },
    Step {
        name: "test",
        what: "tests and doctests of all packages pass, house rules included",
        run: suites::all,
    },
    Step {
        name: "explore",
        what: "models hold in every interleaving, and the simulation for its first 40,000 seeds",
        run: suites::explored,
    },
    Step {
        name: "doc",
        what: "documentation builds without warnings",
        run: |_| documentation(),
    },
];

/// Runs all steps, or the one named; whether all went well.
pub(crate) fn run(only: Option<&str>, matrix: bool) -> bool {
    let chosen: Vec<&Step> = STEPS
        .iter()
        .filter(|step| only.is_none_or(|only| only == step.name))
        .collect();
    if chosen.is_empty() {
        eprintln!(
            "there is no step {:?}; see `cargo xtask help`",
            only.unwrap_or_default()
        );
        return false;
    }
    let report = report::run(
        &chosen,
        Run {
            matrix,
            ..Run::default()
        },
    );
    report.print();
    report.succeeded()
}

fn lints() -> Result<(), String> {
    for form in Forms::of_workspace()?.all() {
        let mut args = vec!["clippy", "--all-targets"];
        args.extend(form);
        args.extend(["--", "-D", "warnings"]);
        cargo(&args)?;
    }
    Ok(())
}

fn documentation() -> Result<(), String> {
    for form in Forms::of_workspace()?.all() {
        let status = Command::new(env!("CARGO"))
            .args(["doc", "--no-deps"])
            .args(form)
            .env("RUSTDOCFLAGS", "-D warnings")
            .status();
        check("cargo doc", status)?;
    }
    Ok(())
}

/// Runs cargo with its output visible.
pub(crate) fn cargo(args: &[&str]) -> Result<(), String> {
    check(
        &format!("cargo {}", args.join(" ")),
        Command::new(env!("CARGO")).args(args).status(),
    )
}

fn check(what: &str, status: std::io::Result<ExitStatus>) -> Result<(), String> {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{what}` ended with {status}")),
        Err(error) => Err(format!("`{what}` does not start: {error}")),
    }
}
