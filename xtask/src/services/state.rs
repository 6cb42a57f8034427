//! What `up` remembers for `down`, `status` and the next `up`.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::Place;

/// A server that was started, or was about to be: the file is written before there is anything to clean up.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub(super) struct State {
    /// The directory of the instance, its data below.
    pub(super) directory: PathBuf,
    /// The programs it was started from.
    pub(super) binaries: PathBuf,
    pub(super) version: String,
    pub(super) found: String,
    /// Missing until the server answered.
    pub(super) ready: Option<Ready>,
}

#[derive(Clone, Serialize, Deserialize, Debug)]
pub(super) struct Ready {
    pub(super) pid: u32,
    pub(super) port: u16,
    pub(super) url: String,
}

/// Two runs at once take turns; the lock ends with the process at the latest.
pub(super) fn lock(place: &Place) -> Result<File, String> {
    let path = place.file("lock");
    let failed = |error| format!("{}: {error}", path.display());
    let file = File::create(&path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

fn path(place: &Place, service: &str) -> PathBuf {
    place.file(&format!("{service}.json"))
}

/// The state, if there is one that can be read: half a file tells nothing that could be used.
pub(super) fn read(place: &Place, service: &str) -> Option<State> {
    let text = fs::read_to_string(path(place, service)).ok()?;
    serde_json::from_str(&text).ok()
}

/// Replaces the state at once, readable by its owner only: the URL has the password.
pub(super) fn write(place: &Place, service: &str, state: &State) -> Result<(), String> {
    let path = path(place, service);
    let failed = |error| format!("{}: {error}", path.display());
    let text = serde_json::to_string_pretty(state).map_err(|error| error.to_string())?;
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&new).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    fs::rename(&new, &path).map_err(failed)
}

pub(super) fn forget(place: &Place, service: &str) -> Result<(), String> {
    let path = path(place, service);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(format!("{}: {error}", path.display()))
        }
        _ => Ok(()),
    }
}
