//! A server that another process started, by its directory.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Signal;

use super::{NAME, answer};
use crate::{Directory, Error, daemon, process};

pub(super) fn settings(directory: &Path) -> PathBuf {
    directory.join("server.properties")
}

pub(super) fn logging(directory: &Path) -> PathBuf {
    directory.join("log4j2.properties")
}

/// Where the process writes its id before it becomes the server.
pub(super) fn pid_file(directory: &Path) -> PathBuf {
    directory.join("kafka.pid")
}

/// The server's process id, if one runs in this directory.
pub fn runs(directory: &Path) -> Option<u32> {
    let text = fs::read_to_string(pid_file(directory)).ok()?;
    let id = text.trim().parse().ok()?;
    process::runs_with(id, &settings(directory).to_string_lossy()).then_some(id)
}

/// Whether a server on `port` answers.
pub fn answers(port: u16) -> bool {
    answer::ask(port).is_ok()
}

/// Stops the server in `directory`, if one runs, and removes the directory.
pub fn remove(directory: &Path) -> Result<(), Error> {
    // What it would write is removed.
    const SIGNALS: [(Signal, Duration); 1] = [(Signal::KILL, Duration::from_secs(10))];
    match runs(directory) {
        Some(id) if !process::end(id, &SIGNALS, || !process::runs(id)) => {
            let why = format!("process {id} does not end");
            Err(Error::step("stopping Kafka", why))
        }
        _ => daemon::remove(directory),
    }
}

/// Stops and removes what processes left behind that were killed together with their watchers; how many there were.
pub fn remove_abandoned() -> Result<usize, Error> {
    let abandoned = Directory::abandoned(NAME)?;
    abandoned
        .iter()
        .try_for_each(|directory| remove(directory))?;
    Ok(abandoned.len())
}
