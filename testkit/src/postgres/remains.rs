//! A server that another process started, by its directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Signal;

use super::answer;
use crate::{Directory, Error, process};

pub(super) fn data(directory: &Path) -> PathBuf {
    directory.join("data")
}

/// Where the server writes its process id, first of all.
pub(super) fn pid_file(directory: &Path) -> PathBuf {
    data(directory).join("postmaster.pid")
}

/// The server's process id, if one runs in this directory.
#[must_use]
pub fn runs(directory: &Path) -> Option<u32> {
    let text = fs::read_to_string(pid_file(directory)).ok()?;
    let id = text.lines().next()?.trim().parse().ok()?;
    process::runs_with(id, &data(directory).to_string_lossy()).then_some(id)
}

/// Whether the server on `port` answers a query of the superuser.
#[must_use]
pub fn answers(port: u16, password: &str) -> bool {
    answer::ask(port, password).is_ok()
}

/// Stops the server in `directory`, if one runs, and removes the directory.
pub fn remove(directory: &Path) -> Result<(), Error> {
    if let Some(id) = runs(directory) {
        let gone = process::end(
            id,
            &[
                (Signal::INT, Duration::from_secs(30)),
                (Signal::QUIT, Duration::from_secs(10)),
                (Signal::KILL, Duration::from_secs(10)),
            ],
            || !process::runs(id),
        );
        if !gone {
            return Err(Error::step(
                "stopping postgres",
                format!("process {id} does not end"),
            ));
        }
    }
    clear(directory)
}

/// Stops and removes what processes left behind that were killed together with their watchers; how many there were.
pub fn remove_abandoned() -> Result<usize, Error> {
    let abandoned = Directory::abandoned("postgres")?;
    abandoned
        .iter()
        .try_for_each(|directory| remove(directory))?;
    Ok(abandoned.len())
}

pub(super) fn clear(directory: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::step("removing the data", error.to_string()))
        }
        _ => Ok(()),
    }
}
