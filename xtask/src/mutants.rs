//! The simulation against mutants: small faults that people commit, each of which it must find.
//!
//! Faults of ports are adapters in the program `mutants` of `testkit/campaigns`; the others are patches, applied one at a time to a
//! copy of the repository.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use xshell::{Shell, cmd};

use crate::{steps::CARGO, workspace::Workspace};

/// Where the patches lie.
const PATCHES: &str = "testkit/campaigns/mutants";
/// With how many seeds each mutant is hunted.
const SEEDS: u64 = 20_000;

/// Hunts for each mutant, or for the one named, and then runs as many seeds without a fault. Answers
/// what came of each, and what is wrong: a mutant that survived, or a seed that fails without one.
pub(crate) fn hunt(only: Option<&str>) -> Result<(Vec<Value>, Vec<String>)> {
    patches_apply()?;
    let tree = Tree::new()?;
    let sound = tree.build("sound")?;
    let adapters = cmd!(tree.shell, "{sound} --list").quiet().read()?;
    let adapters: Vec<(String, String)> = serde_json::from_str(&adapters)?;
    let adapters = adapters.into_iter().map(|(name, what)| (name, what, None));
    let patches = patches(&tree.root)?.into_iter();
    let patches = patches.map(|(name, what, patch)| (name, what, Some(patch)));
    let mut mutants: Vec<_> = adapters.chain(patches).collect();
    mutants.retain(|(name, ..)| only.is_none_or(|only| only == name));
    let count = mutants.len();
    ensure!(
        count > 0,
        "no mutant is called {}",
        only.unwrap_or_default()
    );
    let (mut rows, mut wrong, mut longest) = (Vec::new(), Vec::new(), 1_000);
    for (nth, (name, what, patch)) in (1..).zip(mutants) {
        let found = match patch {
            None => tree.seeds(&sound, SEEDS, &["--adapter", &name]),
            Some(patch) => {
                (tree.mutated(&patch)).and_then(|program| tree.seeds(&program, SEEDS, &[]))
            }
        };
        match found {
            Ok(mut found) => {
                eprintln!(
                    "{nth}/{count} {name}: seed {}, {}",
                    found["seed"], found["by"]
                );
                if found["seed"].is_null() {
                    wrong.push(format!("{name} survived"));
                }
                longest = found["run"].as_u64().unwrap_or(0).max(longest);
                (found["name"], found["what"]) = (json!(name), json!(what));
                rows.push(found);
            }
            Err(error) => wrong.push(format!("{name} was not tried: {error:#}")),
        }
    }
    let mut control = tree.seeds(&sound, longest, &[])?;
    if !control["seed"].is_null() {
        let report = control["report"].as_str().unwrap_or_default();
        wrong.push(format!("a seed fails without a fault: {report}"));
    }
    control["name"] = json!("without a fault");
    rows.push(control);
    Ok((rows, wrong))
}

/// Every patch applies, and says in its first line what is wrong.
pub(crate) fn patches_apply() -> Result<()> {
    let root = Workspace::read()?.root.into_std_path_buf();
    let mut wrong = Vec::new();
    for (name, what, patch) in patches(&root)? {
        if what.is_empty() || what.starts_with("---") || what.starts_with("diff") {
            wrong.push(format!("{name}: its first line does not say what is wrong"));
        }
        let applies = git_apply(&root, &[OsStr::new("--check"), patch.as_os_str()]);
        wrong.extend(applies.err().map(|error| error.to_string()));
    }
    ensure!(wrong.is_empty(), wrong.join("\n"));
    Ok(())
}

/// Names, first lines and places of the patches.
fn patches(root: &Path) -> Result<Vec<(String, String, PathBuf)>> {
    let mut patches = Vec::new();
    for entry in fs::read_dir(root.join(PATCHES)).context(PATCHES)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "patch") {
            let text = fs::read_to_string(&path)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let what = text.lines().next().unwrap_or_default();
            patches.push((name.into_owned(), what.to_owned(), path));
        }
    }
    patches.sort();
    Ok(patches)
}

fn git_apply(folder: &Path, arguments: &[&OsStr]) -> Result<()> {
    let shell = Shell::new()?;
    shell.change_dir(folder);
    // In a folder of a repository git would ignore what lies beside it.
    let git = cmd!(shell, "git apply {arguments...}").quiet();
    let above = folder.parent().unwrap_or(folder);
    Ok(git.env("GIT_CEILING_DIRECTORIES", above).run()?)
}

/// A copy of the repository, to be patched and built.
struct Tree {
    root: PathBuf,
    target: PathBuf,
    /// Which program to build.
    program: [String; 4],
    /// At the copy.
    shell: Shell,
}

impl Tree {
    fn new() -> Result<Self> {
        let workspace = Workspace::read()?;
        let (shell, target) = (Shell::new()?, workspace.target.join("mutants"));
        shell.change_dir(shell.create_dir(target.join("tree"))?);
        let copy = Self {
            program: workspace.program("mutants")?,
            root: workspace.root.into(),
            target: target.into(),
            shell,
        };
        copy.refresh()?;
        Ok(copy)
    }

    /// Makes the copy what the repository is. What is so already stays untouched: cargo goes by age.
    fn refresh(&self) -> Result<()> {
        let root = &self.root;
        let list = cmd!(self.shell, "git -C {root} ls-files -zco --exclude-standard");
        for path in list.quiet().read()?.split_terminator('\0') {
            // What was deleted and not committed yet is listed, and is not there.
            let Ok(text) = fs::read(root.join(path)) else {
                continue;
            };
            if self.shell.read_binary_file(path).ok().as_ref() != Some(&text) {
                self.shell.write_file(path, text)?;
            }
        }
        Ok(())
    }

    /// The program `mutants`, built with a patch.
    fn mutated(&self, patch: &Path) -> Result<PathBuf> {
        self.refresh()?;
        git_apply(&self.shell.current_dir(), &[patch.as_os_str()])?;
        self.build("mutated")
    }

    /// Builds the program `mutants`, and keeps it under this name.
    fn build(&self, name: &str) -> Result<PathBuf> {
        let (build, kept) = (self.target.join("build"), self.target.join(name));
        let program = &self.program;
        cmd!(
            self.shell,
            "{CARGO} build --quiet --profile proof {program...}"
        )
        .quiet()
        .env("CARGO_TARGET_DIR", &build)
        .env("CARGO_INCREMENTAL", "1")
        .env("RUSTFLAGS", "-Awarnings")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .run()?;
        let program = build.join("proof/mutants");
        fs::copy(&program, &kept).with_context(|| program.display().to_string())?;
        Ok(kept)
    }

    /// What the program found within so many seeds.
    fn seeds(&self, program: &Path, seeds: u64, arguments: &[&str]) -> Result<Value> {
        let seeds = seeds.to_string();
        let hunting = cmd!(self.shell, "{program} --seeds {seeds} {arguments...}");
        Ok(serde_json::from_str(&hunting.quiet().read()?)?)
    }
}

#[test]
fn every_patch_applies() {
    patches_apply().unwrap();
}
