//! What no file of the repository may say, whatever its kind.

use std::path::Path;

use super::File;

/// The one registry that `Cargo.lock` and deny.toml name.
const PUBLIC_REGISTRY: &str = "https://github.com/rust-lang/crates.io-index";

pub(super) fn machine_paths(files: &[File]) -> Vec<String> {
    // Without their slashes, so that this file keeps its own rule.
    let roots = ["home", "root", "work", "Users", "tmp", "mnt"].map(|name| format!("/{name}/"));
    let mut offences = Vec::new();
    for file in files {
        for (number, line) in (1..).zip(file.text.lines()) {
            for root in &roots {
                let starts_a_path = line.match_indices(root).any(|(at, _)| {
                    let before = line.get(..at).and_then(|before| before.chars().next_back());
                    // `docs/work/` and `https://host/work/` are no paths from the root of a machine.
                    !before.is_some_and(|c| c.is_alphanumeric() || "._-*}~>)".contains(c))
                });
                if starts_a_path {
                    offences.push(format!(
                        "{}:{number}: {root}… exists on one machine only",
                        file.path
                    ));
                }
            }
        }
    }
    offences
}

pub(super) fn registries(files: &[File]) -> Vec<String> {
    let signs = [
        "registry+",
        "sparse+",
        "[source.",
        "[registries",
        "replace-with",
        "registry =",
    ];
    let mut offences = Vec::new();
    for file in files {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let concerns = name == "Cargo.lock"
            || Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "toml");
        for (number, line) in (1..).zip(file.text.lines()).filter(|_| concerns) {
            let names_one = signs.iter().any(|sign| line.contains(sign));
            let is_rule = name == "deny.toml" && line.contains("unknown-registry");
            if names_one && !line.contains(PUBLIC_REGISTRY) && !is_rule {
                offences.push(format!(
                    "{}:{number}: only {PUBLIC_REGISTRY} may be named",
                    file.path
                ));
            }
        }
    }
    offences
}

#[test]
fn paths_of_a_machine_are_found() {
    let offences = |text: String| machine_paths(&[File::new("README.md", &text)]).len();
    for name in ["home", "work", "tmp"] {
        assert_eq!(offences(format!("open /{name}/me/x")), 1);
        assert_eq!(offences(format!("(/{name}/x)")), 1);
        assert_eq!(
            offences(format!("see docs/{name}/x and https://host/{name}/x")),
            0
        );
    }
}

#[test]
fn other_registries_are_found() {
    let lock = |source: &str| {
        registries(&[File::new(
            "Cargo.lock",
            &format!("source = \"registry+{source}\""),
        )])
        .len()
    };
    assert_eq!(lock(PUBLIC_REGISTRY), 0);
    assert_eq!(lock("https://mirror.example/index"), 1);
    assert_eq!(
        registries(&[File::new(".cargo/config.toml", "[source.mirror]")]).len(),
        1
    );
}
