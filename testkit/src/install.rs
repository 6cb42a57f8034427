//! Programs of servers: where they are, and how they get there.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

pub(crate) fn path() -> Vec<PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect()
}

/// A program on the PATH, or where Debian has those that only root looks for.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let directories = path().into_iter().chain(["/usr/sbin".into()]);
    let mut programs = directories.map(|directory| directory.join(name));
    programs.find(|program| program.is_file())
}

/// Installs a package of Debian whose daemon is not started.
pub(crate) fn debian(package: &str) -> Result<(), String> {
    run(include_str!("debian.sh"), &[package])
}

/// The script itself says what it does and what went wrong.
pub(crate) fn run(script: &str, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("sh");
    command.args(["-c", script, "mainstay-install"]);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("its installation ended with {status}")),
        Err(error) => Err(format!("sh does not start: {error}")),
    }
}

/// Where what was fetched is kept, per user. Root's own cache is closed to the user that servers run as, the machine's is not.
pub(crate) fn cache() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some("/var/cache/mainstay".into());
    }
    let named = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = named.filter(|path| path.is_absolute());
    let cache = cache.or_else(|| Some(env::home_dir()?.join(".cache")))?;
    Some(cache.join("mainstay"))
}
