//! Where source files lie, how long they are, and what may not be left in them.

use super::File;

const LONGEST: usize = 400;

/// `relay.rs` beside `relay/`, never `relay/mod.rs`: an editor then shows a name in each tab.
pub(super) fn module_files(files: &[File]) -> Vec<String> {
    let offends = |file: &&File| file.path.ends_with("/mod.rs") || file.path == "mod.rs";
    let say = |file: &File| {
        format!(
            "{}: call it after its module and put it beside the folder",
            file.path
        )
    };
    files.iter().filter(offends).map(say).collect()
}

pub(super) fn lengths(files: &[File]) -> Vec<String> {
    let sources = files.iter().filter(|file| file.is_library_source());
    let lengths = sources.map(|file| (file, file.text.lines().count()));
    lengths
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(file, lines)| {
            format!(
                "{}: {lines} lines; split it by concept, {LONGEST} are the limit",
                file.path
            )
        })
        .collect()
}

pub(super) fn leftovers(files: &[File]) -> Vec<String> {
    // In two parts, so that this file keeps its own rule.
    let forbidden = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!"));
    let mut offences = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        for (number, code) in file.code() {
            for name in forbidden.iter().filter(|name| code.contains(*name)) {
                offences.push(format!("{}:{number}: {name} is left over", file.path));
            }
        }
    }
    offences
}

/// SQLite plans by the number of a `LIMIT $1`, so it prepares the statement anew whenever one is bound.
/// Of an expression it does not know the number.
pub(super) fn limits_by_parameter(files: &[File]) -> Vec<String> {
    let is_for_sqlite = |file: &&File| {
        file.path.contains("/src/") && file.is_rust() && !file.path.contains("postgres")
    };
    let mut offences = Vec::new();
    for file in files.iter().filter(is_for_sqlite) {
        for (number, code) in file.code() {
            let mut limits = code.split("LIMIT $").skip(1);
            let is_bare = |limit: &str| {
                let rest = limit.trim_start_matches(|c: char| c.is_ascii_digit());
                !rest.starts_with(" + 0")
            };
            if limits.any(is_bare) {
                offences.push(format!("{}:{number}: write `LIMIT $1 + 0`", file.path));
            }
        }
    }
    offences
}

#[test]
fn limits_that_prepare_a_statement_anew_are_found() {
    let text = "LIMIT $2)\nLIMIT $12 + 0\nLIMIT $1 + 0 LIMIT $2\n";
    let of_sqlite = File::new("outbox/src/sqlite/statements.rs", text);
    let of_postgres = File::new("outbox/src/postgres/statements.rs", text);
    assert_eq!(limits_by_parameter(&[of_sqlite, of_postgres]).len(), 2);
}

#[test]
fn module_files_in_their_folder_are_found() {
    let files = [
        File::new("outbox/src/relay/mod.rs", ""),
        File::new("outbox/src/relay.rs", ""),
    ];
    assert_eq!(module_files(&files).len(), 1);
}

#[test]
fn long_files_of_libraries_are_found_and_tests_may_be_longer() {
    let long = "x\n".repeat(LONGEST + 1);
    let limit = "x\n".repeat(LONGEST);
    let files = [
        File::new("outbox/src/relay/lease.rs", &long),
        File::new("outbox/src/relay.rs", &limit),
        File::new("outbox/tests/it/main.rs", &long),
    ];
    assert_eq!(lengths(&files).len(), 1);
}

#[test]
fn leftovers_are_found_in_code_and_not_in_comments() {
    let text = format!("{0}!()\n// {0}!()\nlet x = {1}!(y);", "todo", "dbg");
    assert_eq!(leftovers(&[File::new("a/src/b.rs", &text)]).len(), 2);
}
