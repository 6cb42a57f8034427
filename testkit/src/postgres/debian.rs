//! Debian's package, where PostgreSQL is not installed and root asks.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::Path,
    process::{Command, Stdio},
};

/// Read when the package is installed: whether to create a cluster, and with it a daemon.
const SETTING: &str = "/etc/postgresql-common/createcluster.conf";

/// Installs the newest PostgreSQL of this Debian, without a cluster of its own; an error says why that cannot be.
pub(super) fn install() -> Result<(), String> {
    if !Path::new("/etc/debian_version").exists() {
        return Err("this is not Debian, whose package could be installed".to_owned());
    }
    if !rustix::process::geteuid().is_root() {
        return Err("only root could install Debian's package `postgresql`".to_owned());
    }
    // A chore that installs something says so; whoever does not read it has lost nothing.
    drop(io::stderr().write_all(b"installing Debian's package postgresql\n"));
    apt(&["install", "postgresql-common"]).or_else(|_| {
        apt(&["update"])?;
        apt(&["install", "postgresql-common"])
    })?;
    let setting = Setting::without_cluster().map_err(|error| format!("{SETTING}: {error}"))?;
    let installed = apt(&["install", "postgresql"]);
    drop(setting);
    installed
}

fn apt(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("apt-get")
        .args(["--yes", "--no-install-recommends"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("apt-get does not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    Err(format!(
        "`apt-get {}` ended with {}: {said}",
        arguments.join(" "),
        output.status
    ))
}

/// The setting during the installation; puts back what was there before.
struct Setting {
    before: Option<Vec<u8>>,
}

impl Setting {
    fn without_cluster() -> io::Result<Self> {
        let before = match fs::read(SETTING) {
            Ok(before) => Some(before),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let setting = Self { before };
        fs::write(SETTING, "create_main_cluster = false\n")?;
        Ok(setting)
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        drop(match &self.before {
            Some(before) => fs::write(SETTING, before),
            None => fs::remove_file(SETTING),
        });
    }
}
