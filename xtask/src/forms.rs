//! What is built, and in which forms: everything with all features, but for the application, whose feature
//! `distributed` replaces one database by another. It is built and tested once without and once with it, and never with
//! all features.

use cargo_metadata::MetadataCommand;

/// Where the application lies.
const APPLICATION: &str = "examples/commerce";

/// Packages whose tests explore more than an unoptimised build gets through: they have a step of their own.
pub(crate) const EXPLORING: &[&str] = &["mainstay-models", "mainstay-simulation"];

/// Arguments that choose packages and features, for cargo.
pub(crate) struct Forms {
    application: Vec<String>,
    left_out: Vec<String>,
}

impl Forms {
    pub(crate) fn of_workspace() -> Result<Self, String> {
        let metadata = MetadataCommand::new()
            .no_deps()
            .exec()
            .map_err(|error| format!("cargo metadata: {error}"))?;
        let home = metadata.workspace_root.join(APPLICATION);
        let packages = metadata.workspace_packages().into_iter();
        let application: Vec<String> = packages
            .filter(|package| package.manifest_path.starts_with(&home))
            .map(|package| package.name.to_string())
            .collect();
        Ok(Self {
            application,
            left_out: Vec::new(),
        })
    }

    /// The same without some packages.
    pub(crate) fn without(mut self, packages: &[&str]) -> Self {
        self.left_out = packages.iter().map(ToString::to_string).collect();
        self
    }

    /// Everything but the application.
    fn libraries(&self) -> Vec<&str> {
        let mut arguments = vec!["--workspace", "--all-features"];
        for package in self.application.iter().chain(&self.left_out) {
            arguments.extend(["--exclude", package]);
        }
        arguments
    }

    /// The application on files.
    fn embedded(&self) -> Vec<&str> {
        let packages = self.application.iter();
        packages.flat_map(|package| ["-p", package]).collect()
    }

    /// The application on servers.
    fn distributed(&self) -> Vec<&str> {
        let mut arguments = self.embedded();
        arguments.extend(["--features", "commerce/distributed"]);
        arguments
    }

    /// What runs on servers, too.
    pub(crate) fn on_servers(&self) -> Vec<Vec<&str>> {
        let mut forms = vec![self.libraries()];
        // A workspace may be without the application: xtask's own tests run it on such.
        if !self.application.is_empty() {
            forms.push(self.distributed());
        }
        forms
    }

    /// Everything. The application on files comes last: its pages of documentation are those that stay.
    pub(crate) fn all(&self) -> Vec<Vec<&str>> {
        let mut forms = self.on_servers();
        if !self.application.is_empty() {
            forms.push(self.embedded());
        }
        forms
    }
}
