//! Whether a process serves a data directory: it holds a shared lock on a file there.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use crate::error::Failure;

const NAME: &str = "serving.lock";

/// Announces that this process serves the directory, until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Presence {
    _locked: File,
}

impl Presence {
    pub(crate) fn announce(data: &Path) -> Result<Self, Failure> {
        let path = data.join(NAME);
        let wrong = |error: std::io::Error| {
            Failure::new(format!("{} cannot be written", path.display()), &error)
        };
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(wrong)?;
        // Several processes may serve one directory. `is_running` takes the lock for a moment only.
        file.lock_shared().map_err(wrong)?;
        Ok(Self { _locked: file })
    }
}

/// Keeps processes from serving a directory, until it is dropped: one that starts waits.
#[derive(Debug)]
pub(crate) struct Absence {
    _locked: File,
}

impl Absence {
    /// None: a process serves the directory now.
    pub(crate) fn hold(data: &Path) -> Result<Option<Self>, Failure> {
        let path = data.join(NAME);
        let opened = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let wrong = |error: std::io::Error| {
            Failure::new(format!("{} cannot be locked", path.display()), &error)
        };
        let file = opened.map_err(wrong)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _locked: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(wrong(error)),
        }
    }
}

/// Whether a process serves the directory now.
pub(crate) fn is_running(data: &Path) -> bool {
    let Ok(file) = File::options().write(true).open(data.join(NAME)) else {
        return false;
    };
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}
