//! Where Java and the libraries of Kafka are, and how they get there.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, install};

/// Where the directory of Kafka's libraries may stand.
pub const LIBRARIES: &str = "MAINSTAY_KAFKA_LIBS";

/// The version that is fetched.
const VERSION: &str = "4.4.0";

/// The oldest Java that runs it.
const JAVA: u32 = 17;

/// A Java, and a directory with Kafka's libraries.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The directory.
    pub directory: PathBuf,
    /// The program.
    pub java: PathBuf,
    /// The version of Kafka, as `4.4.0`.
    pub version: String,
    /// How it was found, in words.
    pub found: String,
}

impl Binaries {
    /// What is on this machine. `MAINSTAY_KAFKA_LIBS` names a directory of libraries and ends the search for these.
    pub fn find() -> Result<Self, Error> {
        let java = java()?;
        let (directory, found) = match env::var_os(LIBRARIES) {
            Some(named) => (PathBuf::from(named), LIBRARIES.to_owned()),
            None => (fetched()?, format!("from Maven, {java}", java = java.what)),
        };
        let Some(version) = version(&directory) else {
            let why = match env::var_os(LIBRARIES) {
                Some(_) => format!(
                    "{LIBRARIES} names {}, where there is no kafka_2.13-VERSION.jar",
                    directory.display()
                ),
                None => format!("Kafka is not there: no {}", directory.display()),
            };
            return Err(Error::Unavailable(why));
        };
        Ok(Self {
            directory,
            java: java.program,
            version,
            found,
        })
    }

    /// As [`Binaries::find`]; what is missing is installed: Java and Maven as Debian's packages, Kafka through Maven.
    pub fn find_or_install() -> Result<Self, Error> {
        let missing = match Self::find() {
            Err(Error::Unavailable(why)) if env::var_os(LIBRARIES).is_none() => why,
            outcome => return outcome,
        };
        install().map_err(|why| Error::Unavailable(format!("{missing}; {why}")))?;
        Self::find()
    }
}

fn install() -> Result<(), String> {
    if java().is_err() {
        // Debian's default; what it is too old for is said by the search that follows.
        install::debian("default-jre-headless")?;
    }
    if fetched().is_ok_and(|directory| version(&directory).is_some()) {
        return Ok(());
    }
    if install::program("mvn").is_none() {
        install::debian("maven")?;
    }
    let cache = install::cache().ok_or("there is no directory to keep it in")?;
    install::run(MAVEN, &[VERSION, &cache.to_string_lossy()])
}

/// Where the libraries are that were fetched before.
fn fetched() -> Result<PathBuf, Error> {
    let cache = install::cache().map(|cache| cache.join(format!("kafka-{VERSION}")));
    cache.ok_or_else(|| Error::Unavailable("there is no directory to keep Kafka in".to_owned()))
}

/// The version of Kafka in a directory of libraries.
fn version(directory: &Path) -> Option<String> {
    let entries = directory.read_dir().ok()?.flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.find_map(|name| {
        let version = name.strip_prefix("kafka_2.13-")?.strip_suffix(".jar")?;
        Some(version.to_owned())
    })
}

struct Java {
    program: PathBuf,
    /// As `Java 17`.
    what: String,
}

/// That of `JAVA_HOME`, or the one on the PATH.
fn java() -> Result<Java, Error> {
    let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    let programs = home.into_iter().chain(install::program("java"));
    let mut found = programs.filter_map(|program| {
        let major = major(&program)?;
        let what = format!("Java {major}");
        (major >= JAVA).then_some(Java { program, what })
    });
    let why = format!("there is no Java {JAVA} or newer in JAVA_HOME or on the PATH");
    found.next().ok_or(Error::Unavailable(why))
}

fn major(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").output().ok()?;
    // `openjdk version "17.0.15" 2025-04-15`; Java 8 calls itself 1.8.
    let text = String::from_utf8(output.stderr).ok()?;
    let (_, version) = text.split_once(" version \"")?;
    version.split(['.', '"', '-', '+']).next()?.parse().ok()
}

const MAVEN: &str = include_str!("maven.sh");
