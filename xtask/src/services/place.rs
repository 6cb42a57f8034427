//! Where logs and state lie: `target/services` of the checkout, so that two checkouts never share a server.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use anyhow::{Context as _, Result};

use super::Running;
use crate::workspace::Workspace;

pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn of_workspace() -> Result<Self> {
        let workspace = Workspace::read()?;
        let place = workspace.root.join("target/services");
        fs::create_dir_all(&place).with_context(|| place.to_string())?;
        Ok(Self(place.into()))
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Two runs at once take turns with a service; the lock ends with the process at the latest.
    pub(super) fn lock(&self, service: &str) -> Result<File> {
        let path = self.file(&format!("{service}.lock"));
        let file = File::create(&path).and_then(|file| file.lock().map(|()| file));
        file.with_context(|| path.display().to_string())
    }

    /// The state, if there is one that can be read.
    pub(super) fn read(&self, file: &str) -> Option<Running> {
        let text = fs::read_to_string(self.file(file)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Replaces the state at once, readable by its owner only: the URL has the password.
    pub(super) fn write(&self, file: &str, state: &Running) -> Result<()> {
        let text = serde_json::to_string_pretty(state)?;
        let (path, new) = (self.file(file), self.file(&format!("{file}.new")));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options
            .open(&new)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        let renamed = written.and_then(|()| fs::rename(&new, &path));
        renamed.with_context(|| path.display().to_string())
    }

    pub(super) fn forget(&self, file: &str) -> Result<()> {
        let path = self.file(file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.with_context(|| path.display().to_string()),
        }
    }
}
