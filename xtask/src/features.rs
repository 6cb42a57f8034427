//! Every combination of a package's features builds, and its tests do with the default ones.

use std::process::Command;

use cargo_metadata::{MetadataCommand, Package};

/// Checks each package with every subset of its features, and its tests with the default ones: what somebody runs who
/// types `cargo test -p` and no more, while all other steps turn every feature on.
pub(crate) fn every_combination() -> Result<(), String> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    for package in metadata.workspace_packages() {
        let features: Vec<&str> = package
            .features
            .keys()
            .map(String::as_str)
            .filter(|name| *name != "default")
            .collect();
        if features.is_empty() && !package.features.contains_key("default") {
            continue; // clippy and the tests build the only form there is
        }
        for subset in subsets(&features) {
            let subset = subset.join(",");
            println!("{}: [{subset}]", package.name);
            let mut args = vec!["check", "--quiet", "-p", &package.name, target(package)];
            args.extend(["--no-default-features", "--features", &subset]);
            without_warnings(&args)?;
        }
        println!("{}: tests", package.name);
        without_warnings(&["check", "--quiet", "-p", &package.name, "--tests"])?;
    }
    Ok(())
}

/// Code that only some combination uses is a warning in the others, and clippy, with all features, never sees it.
fn without_warnings(args: &[&str]) -> Result<(), String> {
    let output = Command::new(env!("CARGO"))
        .args(args)
        .output()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    eprint!("{messages}");
    let what = format!("`cargo {}`", args.join(" "));
    if !output.status.success() {
        return Err(format!("{what} ended with {}", output.status));
    }
    if messages.lines().any(|line| line.starts_with("warning: ")) {
        return Err(format!("{what} gave warnings"));
    }
    Ok(())
}

fn target(package: &Package) -> &'static str {
    if package
        .targets
        .iter()
        .any(|target| target.is_kind("lib".into()))
    {
        "--lib"
    } else {
        "--bins"
    }
}

/// All subsets, the empty one first. Past six features these are too many to build: then none, each alone, each
/// pair, and all.
fn subsets<'a>(features: &[&'a str]) -> Vec<Vec<&'a str>> {
    let all = (0..1_u32 << features.len()).map(|bits| {
        (0_u32..)
            .zip(features)
            .filter(|(bit, _)| bits >> bit & 1 == 1)
            .map(|(_, feature)| *feature)
            .collect::<Vec<_>>()
    });
    all.filter(|subset| features.len() <= 6 || subset.len() <= 2 || subset.len() == features.len())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::subsets;

    #[test]
    fn few_features_are_combined_in_every_way() {
        assert_eq!(
            subsets(&["a", "b"]),
            [vec![], vec!["a"], vec!["b"], vec!["a", "b"]]
        );
        assert_eq!(subsets(&[]), [Vec::<&str>::new()]);
    }

    #[test]
    fn many_features_are_combined_in_pairs() {
        let features = ["a", "b", "c", "d", "e", "f", "g"];
        assert_eq!(subsets(&features).len(), 1 + 7 + 21 + 1);
    }
}
