//! House rules that no compiler and no lint checks, on every file of the repository.

mod features;
mod manifests;
mod names;
mod sources;
mod texts;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::MetadataCommand;

/// A text file of the repository.
struct File {
    /// From the repository's root, with `/`.
    path: String,
    text: String,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn is_rust(&self) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|extension| extension == "rs")
    }

    /// Whether it belongs to the `src/` of a library that people depend on.
    fn is_library_source(&self) -> bool {
        let folder = self.path.split('/').next().unwrap_or_default();
        let inside = self
            .path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with("/src/"));
        self.is_rust() && inside && folder != "xtask"
    }

    /// Lines of code with their numbers: comments are skipped.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).filter_map(|(number, line)| {
            let code = line.split("//").next().unwrap_or_default();
            (!code.trim().is_empty()).then_some((number, code))
        })
    }
}

/// A rule: every place that breaks it, each with what to do about it.
type Rule = fn(&[File]) -> Vec<String>;

const RULES: &[(&str, Rule)] = &[
    (
        "module files stand beside their folder",
        sources::module_files,
    ),
    ("library files stay readable in one go", sources::lengths),
    ("nothing is left to do", sources::leftovers),
    (
        "no limit makes SQLite prepare a statement again",
        sources::limits_by_parameter,
    ),
    (
        "a feature adds or removes whole modules",
        features::only_whole_modules,
    ),
    (
        "types and modules have names of the field",
        names::of_the_field,
    ),
    ("no path of anybody's machine", texts::machine_paths),
    (
        "dependencies come from the public registry",
        texts::registries,
    ),
];

fn root() -> PathBuf {
    MetadataCommand::new()
        .no_deps()
        .exec()
        .unwrap()
        .workspace_root
        .into()
}

/// Every tracked text file; in a copy without git, every file but what builds and runs leave behind.
fn files() -> Vec<File> {
    let root = root();
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(&root)
        .output();
    let paths: Vec<String> = match listed {
        Ok(listed) if listed.status.success() => String::from_utf8(listed.stdout)
            .unwrap()
            .split_terminator('\0')
            .map(str::to_owned)
            .collect(),
        _ => walk(&root, &root),
    };
    let files: Vec<File> = paths
        .into_iter()
        .filter_map(|path| {
            // Neither a binary file nor one that was deleted and not committed yet has a text.
            let text = std::fs::read_to_string(root.join(&path)).ok()?;
            Some(File { path, text })
        })
        .collect();
    assert!(
        files.iter().any(|file| file.path == "Cargo.toml"),
        "the repository's files were not found"
    );
    files
}

fn walk(root: &Path, folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path
            .strip_prefix(root)
            .unwrap()
            .to_str()
            .unwrap()
            .replace('\\', "/");
        if path.is_dir() {
            if !["target", "data", ".git"].contains(&&*name) {
                found.extend(walk(root, &path));
            }
        } else {
            found.push(name);
        }
    }
    found
}

#[test]
fn every_file_keeps_the_house_rules() {
    let files = files();
    let offences: Vec<String> = RULES
        .iter()
        .flat_map(|(rule, check)| {
            check(&files)
                .into_iter()
                .map(move |offence| format!("{offence} [{rule}]"))
        })
        .collect();
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn a_copy_without_git_is_checked_all_the_same() {
    let root = root();
    let walked = walk(&root, &root);
    for file in files() {
        assert!(walked.contains(&file.path), "{} was not found", file.path);
    }
}
