//! The simulation against mutants: small faults of the kind that people commit, each of which it must find.
//!
//! Faults of ports are adapters in the program `mutants` of `testkit/campaigns`; the others are patches, applied one at a time to a
//! copy of the repository.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::MetadataCommand;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

/// Where the patches lie.
const PATCHES: &str = "testkit/campaigns/mutants";
/// With how many seeds each mutant is hunted.
const SEEDS: u64 = 20_000;

/// One mutant, and what became of it.
#[derive(Serialize)]
struct Hunt {
    name: String,
    what: String,
    #[serde(flatten)]
    found: Found,
}

/// What the program `mutants` says.
#[derive(Serialize, Deserialize)]
struct Found {
    /// How many seeds were run.
    run: u64,
    /// The first that failed; none = the mutant survived.
    seed: Option<u64>,
    /// What did not hold.
    by: Vec<String>,
    report: String,
}

/// Hunts for each mutant, or for the one named; fails if one survives, or a seed fails without a fault.
pub(crate) fn run(options: &[&str]) -> Result<(), String> {
    let json = options.contains(&"--json");
    let options: Vec<&str> = options.iter().copied().filter(|o| *o != "--json").collect();
    let only = match *options {
        [] => None,
        ["--only", name] => Some(name),
        _ => return Err(format!("`mutants` does not know {:?}", options.join(" "))),
    };
    patches_apply()?;
    let tree = Tree::new()?;
    let sound = tree.build("sound")?;
    let adapters: Vec<(String, String)> = said(Command::new(&sound).arg("--list"))?;
    let adapters = adapters.into_iter().map(|(name, what)| (name, what, None));
    let patches = patches(&tree.root)?.into_iter();
    let patches = patches.map(|(name, what, patch)| (name, what, Some(patch)));
    let mut mutants: Vec<_> = adapters.chain(patches).collect();
    mutants.retain(|(name, ..)| only.is_none_or(|only| only == name));
    if mutants.is_empty() {
        return Err(format!("no mutant is called {}", only.unwrap_or_default()));
    }
    let (mut hunts, mut wrong, count) = (Vec::new(), Vec::new(), mutants.len());
    for (nth, (name, what, patch)) in (1..).zip(mutants) {
        let found = match patch {
            None => hunt(Command::new(&sound).args(["--adapter", &name]), SEEDS),
            Some(patch) => tree
                .mutated(&patch)
                .and_then(|program| hunt(&mut Command::new(program), SEEDS)),
        };
        eprintln!(
            "{nth}/{count} {name}: {}",
            found.as_ref().map_or_else(Clone::clone, outcome)
        );
        match found {
            Ok(found) => {
                if found.seed.is_none() {
                    wrong.push(format!("{name} survived"));
                }
                hunts.push(Hunt { name, what, found });
            }
            Err(error) => wrong.push(format!("{name} was not tried: {error}")),
        }
    }
    let longest = hunts.iter().map(|hunt| hunt.found.run).max().unwrap_or(0);
    let control = hunt(&mut Command::new(&sound), longest.max(1_000))?;
    if let Some(seed) = control.seed {
        wrong.push(format!(
            "seed {seed} fails without a fault: {}",
            control.report
        ));
    }
    let results = json!({ "seeds": SEEDS, "mutants": hunts, "control": control });
    let told = |error| format!("the results cannot be written: {error}");
    fs::create_dir_all(tree.target.join("prove")).map_err(told)?;
    fs::write(tree.target.join("prove/mutants.json"), results.to_string()).map_err(told)?;
    if json {
        println!("{results}");
    } else {
        for Hunt { name, what, found } in &hunts {
            println!("{name}: {what}\n  {}", outcome(found));
        }
        println!("without a fault: {}", outcome(&control));
    }
    none_of(&wrong)
}

fn none_of(wrong: &[String]) -> Result<(), String> {
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

fn outcome(found: &Found) -> String {
    match found.seed {
        Some(seed) => format!("seed {seed}: {}", found.by.join("; ")),
        None => format!("none of {} seeds failed", found.run),
    }
}

/// Every patch applies, and says in its first line what is wrong.
pub(crate) fn patches_apply() -> Result<(), String> {
    let root = root()?.0;
    let mut wrong = Vec::new();
    for (name, what, patch) in patches(&root)? {
        if what.is_empty() || what.starts_with("---") || what.starts_with("diff") {
            wrong.push(format!("{name}: its first line does not say what is wrong"));
        }
        wrong.extend(git_apply(&root, &[Path::new("--check"), &patch]).err());
    }
    none_of(&wrong)
}

/// Names, first lines and places of the patches.
fn patches(root: &Path) -> Result<Vec<(String, String, PathBuf)>, String> {
    let told = |error| format!("{PATCHES}: {error}");
    let mut patches = Vec::new();
    for entry in fs::read_dir(root.join(PATCHES)).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.extension().is_some_and(|ext| ext == "patch") {
            let text = fs::read_to_string(&path).map_err(told)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let what = text.lines().next().unwrap_or_default();
            patches.push((name.into_owned(), what.to_owned(), path));
        }
    }
    patches.sort();
    Ok(patches)
}

fn git_apply(folder: &Path, arguments: &[&Path]) -> Result<(), String> {
    let mut git = Command::new("git");
    // In a folder of a repository git would leave out what lies beside it.
    git.env("GIT_CEILING_DIRECTORIES", folder.parent().unwrap_or(folder));
    git.arg("apply").args(arguments).current_dir(folder);
    output(&mut git).map(drop)
}

/// A copy of the repository, to be patched and built.
struct Tree {
    root: PathBuf,
    target: PathBuf,
    folder: PathBuf,
}

impl Tree {
    fn new() -> Result<Self, String> {
        let (root, target) = root()?;
        let folder = target.join("mutants/tree");
        let copy = Self {
            root,
            target,
            folder,
        };
        copy.refresh()?;
        Ok(copy)
    }

    /// Makes the copy what the repository is. Files that are so already stay untouched: cargo goes by their age.
    fn refresh(&self) -> Result<(), String> {
        let mut git = Command::new("git");
        git.args(["ls-files", "-zco", "--exclude-standard"]);
        let listed = output(git.current_dir(&self.root))?;
        for path in String::from_utf8_lossy(&listed).split_terminator('\0') {
            // What was deleted and not committed yet is listed, and is not there.
            let Ok(text) = fs::read(self.root.join(path)) else {
                continue;
            };
            let copy = self.folder.join(path);
            if fs::read(&copy).ok().as_ref() != Some(&text) {
                let told = |error| format!("{}: {error}", copy.display());
                fs::create_dir_all(copy.parent().unwrap_or(&copy)).map_err(told)?;
                fs::write(&copy, text).map_err(told)?;
            }
        }
        Ok(())
    }

    /// The program `mutants`, built with a patch.
    fn mutated(&self, patch: &Path) -> Result<PathBuf, String> {
        self.refresh()?;
        git_apply(&self.folder, &[patch])?;
        self.build("mutated")
    }

    /// Builds the program `mutants`, and keeps it under this name.
    fn build(&self, name: &str) -> Result<PathBuf, String> {
        let build = self.target.join("mutants/build");
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--quiet", "--profile", "proof"])
            .args(["--package", "mainstay-campaigns", "--bin", "mutants"])
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", &build)
            .env("CARGO_INCREMENTAL", "1")
            .env("RUSTFLAGS", "-Awarnings")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        output(&mut cargo)?;
        let (program, kept) = (build.join("proof/mutants"), build.join(name));
        fs::copy(&program, &kept).map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(kept)
    }
}

/// The repository, and where cargo builds.
fn root() -> Result<(PathBuf, PathBuf), String> {
    let metadata = MetadataCommand::new().no_deps().exec();
    let metadata = metadata.map_err(|error| format!("cargo metadata: {error}"))?;
    Ok((
        metadata.workspace_root.into(),
        metadata.target_directory.into(),
    ))
}

fn hunt(program: &mut Command, seeds: u64) -> Result<Found, String> {
    said(program.args(["--seeds", &seeds.to_string()]))
}

fn said<T: DeserializeOwned>(command: &mut Command) -> Result<T, String> {
    serde_json::from_slice(&output(command)?).map_err(|error| format!("{command:?}: {error}"))
}

/// What a command prints, if it succeeds.
fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    let ended = command.output();
    let ended = ended.map_err(|error| format!("{command:?} does not start: {error}"))?;
    if ended.status.success() {
        return Ok(ended.stdout);
    }
    let why = String::from_utf8_lossy(&ended.stderr);
    Err(format!("{command:?} ended with {}:\n{why}", ended.status))
}

#[test]
fn every_patch_applies() {
    patches_apply().unwrap();
}
