//! Where the program of Redis is, and how it gets there.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, install};

/// Where the directory of the program may stand.
pub const BIN: &str = "MAINSTAY_REDIS_BIN";

const PROGRAM: &str = "redis-server";

/// A directory with `redis-server`, and what it is.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The directory.
    pub directory: PathBuf,
    /// What `redis-server --version` says, as `7.0.15`.
    pub version: String,
    /// How it was found, in words.
    pub found: String,
}

impl Binaries {
    /// What is on this machine. `MAINSTAY_REDIS_BIN` names a directory and ends the search.
    pub fn find() -> Result<Self, Error> {
        let (found, why) = if let Some(named) = env::var_os(BIN) {
            let directory = Path::new(&named);
            let why = format!(
                "{BIN} names {}, where there is no {PROGRAM} that runs",
                directory.display()
            );
            (Self::at(&directory.join(PROGRAM), BIN), why)
        } else {
            let program = install::program(PROGRAM);
            let found = program.and_then(|program| Self::at(&program, "on the PATH"));
            (
                found,
                format!("Redis is not installed: no {PROGRAM} on the PATH"),
            )
        };
        found.ok_or(Error::Unavailable(why))
    }

    /// As [`Binaries::find`]; what is missing is installed as Debian's package.
    pub fn find_or_install() -> Result<Self, Error> {
        match Self::find() {
            Err(Error::Unavailable(missing)) if env::var_os(BIN).is_none() => {
                install::debian(PROGRAM)
                    .map_err(|why| Error::Unavailable(format!("{missing}; {why}")))?;
                Self::find()
            }
            outcome => outcome,
        }
    }

    fn at(program: &Path, found: &str) -> Option<Self> {
        let output = Command::new(program).arg("--version").output().ok()?;
        // `Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=…`
        let line = String::from_utf8(output.stdout).ok()?;
        let (_, version) = line.split_once(" v=")?;
        Some(Self {
            directory: program.parent()?.to_owned(),
            version: version.split_whitespace().next()?.to_owned(),
            found: found.to_owned(),
        })
    }

    pub(super) fn program(&self) -> PathBuf {
        self.directory.join(PROGRAM)
    }
}
