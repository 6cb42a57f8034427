//! Where the data of a server lies.

use std::path::{Path, PathBuf};

use crate::{Error, account::Account};

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
            |error: std::io::Error| Error::step("making a directory for data", error.to_string());
        let account = Account::for_servers()?;
        let path = tempfile::Builder::new()
            .prefix(&format!("mainstay-{service}-"))
            .tempdir()
            .map_err(failed)?
            .keep();
        let directory = Self { path, account };
        directory.hand_over(&directory.path).map_err(failed)?;
        Ok(directory)
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
    pub(crate) fn hand_over(&self, path: &Path) -> std::io::Result<()> {
        match &self.account {
            Some(account) => {
                std::os::unix::fs::chown(path, Some(account.user), Some(account.group))
            }
            None => Ok(()),
        }
    }
}
