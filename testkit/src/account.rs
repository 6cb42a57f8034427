//! Whom a server runs as.

use std::{os::unix::process::CommandExt, process::Command};

use crate::Error;

/// An unprivileged user of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl Account {
    /// Root needs somebody else to run a server as; anybody else runs it as themselves.
    pub(crate) fn for_servers() -> Result<Option<Self>, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| Self::named(name))
            .map(Some)
            .ok_or_else(|| {
                Error::Unavailable(
                    "servers refuse to run as root, and there is neither a user `postgres` nor `nobody`"
                        .to_owned(),
                )
            })
    }

    fn named(name: &str) -> Option<Self> {
        let id = |which: &str| {
            let output = Command::new("id").args([which, name]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        Some(Self {
            user: id("-u")?,
            group: id("-g")?,
        })
    }

    /// Makes `command` run as this user; std drops the groups of root on the way.
    pub(crate) fn runs(account: Option<&Self>, command: &mut Command) {
        if let Some(Self { user, group }) = account {
            command.uid(*user).gid(*group);
        }
    }
}
