//! Debian's packages, where PostgreSQL or its pooler is not installed and root asks.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

/// Read when the package is installed: whether to create a cluster, and with it a daemon.
const SETTING: &str = "/etc/postgresql-common/createcluster.conf";

/// Asked whether a package may start its daemon when it is installed.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs the newest PostgreSQL of this Debian, without a cluster of its own; an error says why that cannot be.
pub(super) fn install() -> Result<(), String> {
    may_install("postgresql")?;
    install_package("postgresql-common")?;
    let setting = Setting::put(SETTING, "create_main_cluster = false\n", 0o644);
    let setting = setting.map_err(|error| format!("{SETTING}: {error}"))?;
    let installed = apt(&["install", "postgresql"]);
    drop(setting);
    installed
}

/// Installs `PgBouncer`, whose daemon is not started, where it is missing; an error says why that cannot be.
pub fn install_pooler() -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .any(|directory| directory.join("pgbouncer").is_file());
    if is_there {
        return Ok(());
    }
    may_install("pgbouncer")?;
    let setting = Setting::put(POLICY, "#!/bin/sh\nexit 101\n", 0o755);
    let setting = setting.map_err(|error| format!("{POLICY}: {error}"))?;
    let installed = install_package("pgbouncer");
    drop(setting);
    installed?;
    // Nor at the next start of the machine; where services are started otherwise, there is nothing to disable.
    let mut disable = Command::new("update-rc.d");
    disable.args(["pgbouncer", "disable"]);
    drop(disable.stdin(Stdio::null()).output());
    Ok(())
}

fn may_install(package: &str) -> Result<(), String> {
    if !Path::new("/etc/debian_version").exists() {
        return Err(format!(
            "this is not Debian, whose package `{package}` could be installed"
        ));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(format!(
            "only root could install Debian's package `{package}`"
        ));
    }
    // A chore that installs something says so; whoever does not read it has lost nothing.
    let line = format!("installing Debian's package {package}\n");
    drop(io::stderr().write_all(line.as_bytes()));
    Ok(())
}

/// Asks for the lists of packages where they are missing or out of date.
fn install_package(package: &str) -> Result<(), String> {
    apt(&["install", package]).or_else(|_| {
        apt(&["update"])?;
        apt(&["install", package])
    })
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

/// A file during an installation; puts back what was there before.
struct Setting {
    path: &'static str,
    before: Option<Vec<u8>>,
}

impl Setting {
    /// A file that is there keeps its mode.
    fn put(path: &'static str, text: &str, mode: u32) -> io::Result<Self> {
        let before = match fs::read(path) {
            Ok(before) => Some(before),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let setting = Self { path, before };
        fs::write(path, text)?;
        if setting.before.is_none() {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        Ok(setting)
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        drop(match &self.before {
            Some(before) => fs::write(self.path, before),
            None => fs::remove_file(self.path),
        });
    }
}
