//! Where the programs of PostgreSQL are.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Error;

/// A directory with `postgres` and `initdb`, and what they are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Binaries {
    /// The directory.
    pub directory: PathBuf,
    /// What `postgres --version` says, as `15.18`.
    pub version: String,
    /// How they were found, in words.
    pub found: String,
}

impl Binaries {
    /// The newest that are installed. `MAINSTAY_POSTGRES_BIN` names a directory and ends the search.
    pub fn find() -> Result<Self, Error> {
        if let Some(directory) = env::var_os("MAINSTAY_POSTGRES_BIN") {
            return Self::at(Path::new(&directory), "MAINSTAY_POSTGRES_BIN").ok_or_else(|| {
                Error::Unavailable(format!(
                    "MAINSTAY_POSTGRES_BIN names {}, where there is no postgres and initdb that run",
                    Path::new(&directory).display()
                ))
            });
        }
        installed().into_iter().next().ok_or_else(|| {
            Error::Unavailable("no PostgreSQL in Debian's directories or on the PATH".to_owned())
        })
    }

    pub(super) fn at(directory: &Path, found: &str) -> Option<Self> {
        if !directory.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(directory.join("postgres"))
            .arg("--version")
            .output()
            .ok()?;
        // `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`
        let line = String::from_utf8(output.stdout).ok()?;
        let version = line
            .split_once("(PostgreSQL) ")?
            .1
            .split_whitespace()
            .next()?;
        Some(Self {
            directory: directory.to_owned(),
            version: version.to_owned(),
            found: found.to_owned(),
        })
    }
}

/// What is on this machine: Debian's directories, newest first, then the PATH.
fn installed() -> Vec<Binaries> {
    let mut debian: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    debian.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let path = env::var_os("PATH").unwrap_or_default();
    let debian = debian
        .into_iter()
        .filter_map(|(_, directory)| Binaries::at(&directory, "installed"));
    let on_path =
        env::split_paths(&path).filter_map(|directory| Binaries::at(&directory, "on the PATH"));
    debian.chain(on_path).collect()
}
