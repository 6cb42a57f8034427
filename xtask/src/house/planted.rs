//! Bugs planted on purpose (docs/adr/0015): each has a place, and no build but one has them.

use std::{collections::BTreeSet, path::Path};

use super::File;

const LIST: &str = "clock/src/planted/bug.rs";
const PAGE: &str = "docs/reliability.md";

/// Each bug of the list is planted somewhere, and what is planted is in the list: the compiler looks at neither, where
/// the list is not compiled.
pub(super) fn each_has_a_place(files: &[File]) -> Vec<String> {
    let Some(list) = files.iter().find(|file| file.path == LIST) else {
        return Vec::new();
    };
    let listed: BTreeSet<&str> = list.code().filter_map(|(_, line)| listed(line)).collect();
    let mut missing = listed.clone();
    let mut offences = Vec::new();
    let places = |file: &&File| file.is_library_source() && !file.path.starts_with("clock/");
    for file in files.iter().filter(places) {
        for (number, line) in file.code() {
            for name in planted(line) {
                missing.remove(name);
                if !listed.contains(name) {
                    offences.push(format!("{}:{number}: {LIST} has no {name}", file.path));
                }
            }
        }
    }
    offences.extend(
        missing
            .iter()
            .map(|name| format!("{LIST}: {name} is planted nowhere")),
    );
    offences
}

/// Each bug of the list is on the page of what was tried, and was caught.
pub(super) fn each_was_caught(files: &[File]) -> Vec<String> {
    let text = |path: &str| files.iter().find(|file| file.path == path);
    let (Some(list), Some(page)) = (text(LIST), text(PAGE)) else {
        return Vec::new();
    };
    let mut offences = Vec::new();
    for name in list.code().filter_map(|(_, line)| listed(line)) {
        let row = format!("| `{name}` |");
        match page.text.lines().find(|line| line.starts_with(&row)) {
            None => offences.push(format!(
                "{PAGE}: nothing of {name}; `cargo xtask reliability`"
            )),
            Some(line) if line.contains("**survived**") => {
                offences.push(format!("{PAGE}: {name} survived"));
            }
            Some(_) => {}
        }
    }
    offences
}

/// Nothing but `cargo xtask mutants` sets the cfg: no manifest, no build script, no configuration, no CI.
pub(super) fn nobody_sets_the_cfg(files: &[File]) -> Vec<String> {
    // In two parts, so that this file keeps its own rule.
    let cfg = ["mainstay", "planted"].join("_");
    let asks = [format!("cfg({cfg})"), format!("cfg(not({cfg}))")];
    let is_text = |file: &File| {
        Path::new(&file.path)
            .extension()
            .is_some_and(|ext| ext == "md")
    };
    let may = |file: &File| is_text(file) || file.path == "xtask/src/mutants.rs";
    let mut offences = Vec::new();
    for file in files.iter().filter(|file| !may(file)) {
        for (number, line) in (1..).zip(file.text.lines()) {
            let line = line.split("//").next().unwrap_or_default();
            if line.contains(&cfg) && !asks.iter().any(|ask| line.contains(ask)) {
                offences.push(format!(
                    "{}:{number}: only `cargo xtask mutants` sets {cfg}",
                    file.path
                ));
            }
        }
    }
    offences
}

/// `    Name: "what is wrong",`
fn listed(line: &str) -> Option<&str> {
    let (name, what) = line.trim().split_once(": ")?;
    let is_name = name.chars().all(char::is_alphanumeric);
    (is_name && what.starts_with('"')).then_some(name)
}

fn planted(line: &str) -> impl Iterator<Item = &str> {
    line.split("planted!(").skip(1).map(|rest| {
        let end = rest
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    })
}

#[test]
fn a_bug_without_a_place_and_a_place_without_a_bug_are_found() {
    let list = File::new(LIST, "bugs! {\n    A: \"a\",\n    B: \"b\",\n}\n");
    let place = File::new(
        "outbox/src/a.rs",
        "if planted!(A) || planted!(C: x, else y) {",
    );
    let found = each_has_a_place(&[list, place]);
    assert_eq!(
        found,
        [
            "outbox/src/a.rs:1: clock/src/planted/bug.rs has no C",
            "clock/src/planted/bug.rs: B is planted nowhere"
        ]
    );
}

#[test]
fn a_bug_that_survived_or_was_never_hunted_is_found() {
    let list = File::new(LIST, "    A: \"a\",\n    B: \"b\",\n    C: \"c\",\n");
    let page = "| `A` | a | 1 | no loss |\n| `B` | b | 20,000 | **survived** |\n";
    let found = each_was_caught(&[list, File::new(PAGE, page)]);
    assert_eq!(
        found,
        [
            "docs/reliability.md: B survived",
            "docs/reliability.md: nothing of C; `cargo xtask reliability`"
        ]
    );
}

#[test]
fn whoever_sets_the_cfg_is_found() {
    let cfg = ["mainstay", "planted"].join("_");
    let files = [
        File::new(
            ".cargo/config.toml",
            &format!("rustflags = [\"--cfg\", \"{cfg}\"]"),
        ),
        File::new(
            "outbox/build.rs",
            &format!("println!(\"cargo:rustc-cfg={cfg}\");"),
        ),
        File::new(
            "outbox/src/a.rs",
            &format!("#[cfg({cfg})]\nmod a; // {cfg}\n"),
        ),
        File::new("Cargo.toml", &format!("check-cfg = [\"cfg({cfg})\"]")),
    ];
    assert_eq!(nobody_sets_the_cfg(&files).len(), 2);
}
