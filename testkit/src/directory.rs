//! Where the data of a server lies, and whom the server runs as.

use std::{
    fs, io,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, error::At as _, process};

/// Says whose directory it is: process id and the time that process started.
const OWNER: &str = "owner";

/// A user of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) user: u32,
    pub(crate) group: u32,
    is_other: bool,
}

impl Account {
    /// Root needs somebody else to run a server as; anybody else runs it as themselves.
    pub(crate) fn for_servers() -> Result<Self, Error> {
        let me = rustix::process::geteuid();
        if !me.is_root() {
            return Ok(Self {
                user: me.as_raw(),
                group: rustix::process::getegid().as_raw(),
                is_other: false,
            });
        }
        let found = ["postgres", "nobody"].into_iter().find_map(Self::named);
        let why =
            "servers refuse to run as root, and there is neither a user `postgres` nor `nobody`";
        found.ok_or_else(|| Error::Unavailable(why.to_owned()))
    }

    fn named(name: &str) -> Option<Self> {
        let id = |which: &str| {
            let output = Command::new("id").args([which, name]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        Some(Self {
            user: id("-u")?,
            group: id("-g")?,
            is_other: true,
        })
    }

    /// Makes `command` run as this user; std drops the groups of root on the way.
    pub(crate) fn run(self, command: &mut Command) {
        if self.is_other {
            command.uid(self.user).gid(self.group);
        }
    }
}

/// A fresh temporary directory of the user that servers run as. Not removed on drop: the server's owner
/// does that.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    account: Account,
}

impl Directory {
    /// A new directory whose name begins with `mainstay-` and `service`.
    pub fn new(service: &str) -> Result<Self, Error> {
        const STEP: &str = "making a directory for data";
        let account = Account::for_servers()?;
        let directory = tempfile::Builder::new()
            .prefix(&format!("mainstay-{service}-"))
            .tempdir()
            .at(STEP)?;
        let directory = Self {
            path: directory.keep(),
            account,
        };
        let me = std::process::id();
        let owner = format!("{me} {}", process::started(me).unwrap_or_default());
        fs::write(directory.join(OWNER), owner).at(STEP)?;
        directory.hand_over(&directory.path).at(STEP)?;
        Ok(directory)
    }

    /// From now on nobody owns it: it stays until somebody removes it.
    pub(crate) fn disown(&self) {
        // If this fails, the next `up` takes the server for abandoned, and starts another.
        drop(fs::remove_file(self.join(OWNER)));
    }

    /// Directories whose owner is gone and which nobody cleaned up.
    pub(crate) fn abandoned(service: &str) -> Result<Vec<PathBuf>, Error> {
        let ours = Account::for_servers()?.user;
        let prefix = format!("mainstay-{service}-");
        let entries = fs::read_dir(std::env::temp_dir()).at("looking for what was left")?;
        let is_abandoned = |entry: &fs::DirEntry| {
            entry.file_name().to_string_lossy().starts_with(&prefix)
                && (entry.metadata()).is_ok_and(|about| about.is_dir() && about.uid() == ours)
                && owner_is_gone(&entry.path()).unwrap_or(false)
        };
        let abandoned = entries.flatten().filter(is_abandoned);
        Ok(abandoned.map(|entry| entry.path()).collect())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn account(&self) -> Account {
        self.account
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Gives a file to the user the server runs as.
    pub(crate) fn hand_over(&self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.account.user), Some(self.account.group))
    }
}

/// None if the directory names no owner: `up` left it on purpose, or its owner is about to sign.
fn owner_is_gone(directory: &Path) -> Option<bool> {
    let owner = fs::read_to_string(directory.join(OWNER)).ok()?;
    let (id, started) = owner.split_once(' ')?;
    let id = id.parse().ok()?;
    Some(!process::runs(id) || process::started(id).is_some_and(|now| now != started))
}
