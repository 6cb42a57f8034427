//! The workspace, and its two forms: the application runs on files or on servers.

use anyhow::{Context as _, Result};
use cargo_metadata::{MetadataCommand, Package, camino::Utf8PathBuf};

/// Where the application lies.
const APPLICATION: &str = "examples/commerce";

/// The application's feature that replaces its files by servers; all other features are additive.
pub(crate) const ON_SERVERS: &str = "distributed";

pub(crate) struct Workspace {
    pub(crate) root: Utf8PathBuf,
    pub(crate) target: Utf8PathBuf,
    pub(crate) packages: Vec<Package>,
}

impl Workspace {
    pub(crate) fn read() -> Result<Self> {
        let metadata = MetadataCommand::new().no_deps().exec();
        let metadata = metadata.context("cargo metadata")?;
        Ok(Self {
            root: metadata.workspace_root,
            target: metadata.target_directory,
            packages: metadata.packages,
        })
    }

    /// The crates that people depend on.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        let packages = self.packages.iter();
        packages.filter(|package| package.publish.is_none())
    }

    /// Arguments for cargo that choose a program.
    pub(crate) fn program(&self, name: &str) -> Result<[String; 4]> {
        let has_it = |package: &&Package| {
            let mut targets = package.targets.iter();
            targets.any(|target| target.is_bin() && target.name == name)
        };
        let package = self.packages.iter().find(has_it);
        let package = package.with_context(|| format!("no package has a program {name}"))?;
        let package = package.name.to_string();
        Ok(["--package".into(), package, "--bin".into(), name.into()])
    }

    pub(crate) fn is_application(&self, package: &Package) -> bool {
        let home = self.root.join(APPLICATION);
        package.manifest_path.starts_with(home)
    }

    /// Arguments for cargo that choose the same packages, with all features, in each form: all but the
    /// application is built once. The application on files comes last: its documentation stays.
    pub(crate) fn forms(&self) -> Vec<String> {
        let mut libraries = Vec::new();
        let mut on_servers = Vec::new();
        for package in &self.packages {
            for feature in features(package) {
                let name = format!("{}/{feature}", package.name);
                if !self.is_application(package) {
                    libraries.push(name);
                } else if feature == ON_SERVERS {
                    on_servers.push(name);
                }
            }
        }
        let form = |features: &[String]| format!("--workspace --features={}", features.join(","));
        let files = form(&libraries);
        if on_servers.is_empty() {
            return vec![files];
        }
        vec![form(&[libraries, on_servers].concat()), files]
    }
}

/// The features of a package that can be turned on one by one.
pub(crate) fn features(package: &Package) -> impl Iterator<Item = &str> {
    let names = package.features.keys().map(String::as_str);
    names.filter(|name| *name != "default")
}

#[test]
fn the_programs_of_prove_are_there() {
    let workspace = Workspace::read().unwrap();
    for name in ["models", "mutants", "simulation"] {
        assert!(workspace.program(name).is_ok(), "{name}");
    }
}
