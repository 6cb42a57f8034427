//! What the workspace depends on: licences, bans and sources, by the lists of `deny.toml`.

use std::process::{Command, Stdio};

use cargo_metadata::{CargoOpt, Metadata, MetadataCommand, Package};
use serde::Deserialize;

use crate::{spdx, steps::cargo};

/// The parts of `deny.toml` that are checked without cargo-deny, too.
#[derive(Deserialize)]
struct Lists {
    licenses: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    name: String,
}

/// Asks cargo-deny, or compares cargo's own view of the dependencies with the same lists.
pub(crate) fn check() -> Result<(), String> {
    if cargo_deny_is_installed() {
        println!("checking with cargo-deny");
        return cargo(&["deny", "check", "licenses", "bans", "sources"]);
    }
    println!(
        "cargo-deny is not installed: checking licences, bans and sources here, by the lists of deny.toml"
    );
    let metadata = MetadataCommand::new()
        .features(CargoOpt::AllFeatures)
        .exec()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let lists = read_lists(&metadata)?;
    let offences = offences(&metadata.packages, &lists);
    println!("{} packages checked", metadata.packages.len());
    if offences.is_empty() {
        return Ok(());
    }
    Err(offences.join("; "))
}

/// Known vulnerabilities: only cargo-deny knows them.
pub(crate) fn advisories() -> Result<(), String> {
    if !cargo_deny_is_installed() {
        return Err(
            "advisories were not checked: cargo-deny is not installed (`cargo install cargo-deny`)"
                .to_owned(),
        );
    }
    cargo(&["deny", "check", "advisories"])
}

fn cargo_deny_is_installed() -> bool {
    Command::new(env!("CARGO"))
        .args(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn read_lists(metadata: &Metadata) -> Result<Lists, String> {
    let path = metadata.workspace_root.join("deny.toml");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    toml::from_str(&text).map_err(|error| format!("{path}: {error}"))
}

fn offences(packages: &[Package], lists: &Lists) -> Vec<String> {
    let mut offences = Vec::new();
    for package in packages {
        let who = format!("{} {}", package.name, package.version);
        match &package.license {
            None => offences.push(format!("{who} states no licence")),
            Some(licence) => match spdx::satisfied(licence, &lists.licenses.allow) {
                Ok(true) => {}
                Ok(false) => offences.push(format!(
                    "{who} is under {licence}, which deny.toml does not allow"
                )),
                Err(error) => offences.push(format!("{who}: {error}")),
            },
        }
        if lists.bans.deny.iter().any(|ban| ban.name == *package.name) {
            offences.push(format!("{who} is banned by deny.toml"));
        }
        // A package without source is a member; anything else must come from the public registry.
        if package
            .source
            .as_ref()
            .is_some_and(|source| !source.is_crates_io())
        {
            offences.push(format!(
                "{who} comes from elsewhere than the public registry"
            ));
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(allow: &[&str], deny: &[&str]) -> Lists {
        Lists {
            licenses: Licences {
                allow: allow.iter().map(|&name| name.to_owned()).collect(),
            },
            bans: Bans {
                deny: deny
                    .iter()
                    .map(|&name| Ban {
                        name: name.to_owned(),
                    })
                    .collect(),
            },
        }
    }

    #[test]
    fn a_licence_off_the_list_and_a_banned_crate_are_named() {
        let metadata = MetadataCommand::new().exec().unwrap();
        let packages = &metadata.packages;
        assert_eq!(offences(packages, &read_lists(&metadata).unwrap()), [""; 0]);
        let found = offences(packages, &lists(&["Zlib"], &["serde_json"])).join("\n");
        assert!(
            found.contains("xtask 0.1.0 is under MIT OR Apache-2.0"),
            "{found}"
        );
        assert!(found.contains("serde_json"), "{found}");
        assert!(found.contains("is banned"), "{found}");
    }
}
