//! Where the data of a server lies.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{Error, account::Account, process};

/// Says whose directory it is: process id and the time that process started.
const OWNER: &str = "owner";

/// A fresh temporary directory that belongs to the user the server runs as. Not removed on drop: who starts the
/// server in it answers for both.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    account: Option<Account>,
}

impl Directory {
    /// A new directory whose name begins with `mainstay-` and `service`.
    pub fn new(service: &str) -> Result<Self, Error> {
        let failed =
            |error: io::Error| Error::step("making a directory for data", error.to_string());
        let account = Account::for_servers()?;
        let path = tempfile::Builder::new()
            .prefix(&format!("mainstay-{service}-"))
            .tempdir()
            .map_err(failed)?
            .keep();
        let directory = Self { path, account };
        let me = std::process::id();
        let owner = format!("{me} {}", process::started(me).unwrap_or_default());
        fs::write(directory.join(OWNER), owner).map_err(failed)?;
        directory.hand_over(&directory.path).map_err(failed)?;
        Ok(directory)
    }

    /// From now on nobody owns it: it stays until somebody removes it.
    pub(crate) fn disown(&self) {
        // An owner that is still named when this process is gone costs the server, and the next `up` starts another.
        drop(fs::remove_file(self.join(OWNER)));
    }

    /// Directories whose owner is gone and which nobody cleaned up.
    pub(crate) fn abandoned(service: &str) -> Result<Vec<PathBuf>, Error> {
        let ours = Account::for_servers()?.map_or(rustix::process::geteuid().as_raw(), |a| a.user);
        let prefix = format!("mainstay-{service}-");
        let entries = fs::read_dir(std::env::temp_dir())
            .map_err(|error| Error::step("looking for what was left", error.to_string()))?;
        Ok(entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .filter(|entry| {
                entry
                    .metadata()
                    .is_ok_and(|about| about.is_dir() && about.uid() == ours)
            })
            .map(|entry| entry.path())
            .filter(|path| owner_is_gone(path))
            .collect())
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Gives a file to the user the server runs as.
    pub(crate) fn hand_over(&self, path: &Path) -> io::Result<()> {
        match &self.account {
            Some(account) => {
                std::os::unix::fs::chown(path, Some(account.user), Some(account.group))
            }
            None => Ok(()),
        }
    }
}

/// A directory that names no owner is not abandoned: `up` left it on purpose, or its owner is about to sign.
fn owner_is_gone(directory: &Path) -> bool {
    let Ok(owner) = fs::read_to_string(directory.join(OWNER)) else {
        return false;
    };
    let Some((id, started)) = owner.split_once(' ') else {
        return false;
    };
    id.parse().is_ok_and(|id| {
        !process::runs(id) || process::started(id).is_some_and(|now| now != started)
    })
}
