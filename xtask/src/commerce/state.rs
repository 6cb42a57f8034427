//! What `up` started.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
};

use anyhow::{Context as _, Result};
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::Process;

#[derive(Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) processes: Vec<Process>,
    /// The servers that were not there before.
    pub(super) servers: Vec<String>,
}

impl State {
    pub(super) fn read(home: &Utf8Path) -> Result<Self> {
        let path = path(home);
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| path.to_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| path.to_string()),
        }
    }

    /// Adds a process, in place of the earlier one of its name.
    pub(super) fn put(&mut self, process: Process) {
        match self.processes.iter_mut().find(|it| it.name == process.name) {
            Some(earlier) => *earlier = process,
            None => self.processes.push(process),
        }
    }

    pub(super) fn write(&self, home: &Utf8Path) -> Result<()> {
        let (path, new) = (path(home), home.join("state.new"));
        let text = serde_json::to_string_pretty(self)?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options
            .open(&new)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&new, &path));
        written.with_context(|| path.to_string())
    }

    pub(super) fn forget(home: &Utf8Path) -> Result<()> {
        match fs::remove_file(path(home)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn path(home: &Utf8Path) -> Utf8PathBuf {
    home.join("state.json")
}
