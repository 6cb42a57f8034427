//! Paths in settings: the named file or directory is used, whatever its name, or the path is
//! refused.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Command, Output},
};

use commerce_chassis::ON_A_SERVER;

use crate::{
    sandbox::{self, Sandbox},
    server::refused,
    shop::command,
};

/// Names with a meaning in SQLite's URIs, in the driver's URLs, in a shell, or in SQL.
const NAMES: [&str; 22] = [
    "file:shop",
    "file:shop?mode=memory",
    "file:shop?mode=memory&cache=shared",
    "file:",
    "file:%2e%2e",
    "file:#",
    "sqlite:shop",
    "sqlite::memory:",
    ":memory:",
    "postgres:",
    "shop?mode=ro",
    "shop#1",
    "shop%20",
    "shop 1",
    " shop",
    "sh:op",
    "sh'op",
    "sh\"op",
    "sh\nop",
    "~",
    "-shop",
    "größe",
];

/// A command of the deployment `name` in the sandbox, which is the working directory.
fn run(sandbox: &Sandbox, name: &str, arguments: &[&str]) -> Command {
    let mut command = command();
    command.current_dir(sandbox.path()).args(arguments);
    sandbox::with_databases_of(&sandbox.path().join(name), &mut command);
    command
}

fn assert_success(command: &mut Command, what: &str) {
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{what:?}: {status} {stderr}");
}

/// Every file below `path`, with its content.
fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in path.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    all
}

/// Asserts that `migrate` created a deployment in `name` and changed no other file.
fn assert_migrates(sandbox: &Sandbox, name: &str, migrate: &mut Command) {
    let before = files(sandbox.path());
    assert_success(migrate, name);
    let after = files(sandbox.path());
    let directory = sandbox.path().join(name).display().to_string();
    let inside = |path: &&String| path.starts_with(&format!("{directory}/"));
    assert!(after.contains_key(&format!("{directory}/broker.db")));
    for (path, content) in &before {
        assert_eq!(after.get(path), Some(content), "{name:?} changed {path}");
    }
    let elsewhere: Vec<_> = after
        .keys()
        .filter(|path| !before.contains_key(*path))
        .collect();
    let elsewhere: Vec<_> = elsewhere.iter().filter(|path| !inside(path)).collect();
    assert!(elsewhere.is_empty(), "{name:?} created {elsewhere:?}");
}

#[test]
fn every_name_of_a_data_directory_is_taken_literally() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    // The deployment that a URI `file:shop` would open.
    let mut migrate = run(&sandbox, "shop", &["migrate", "--data", "shop"]);
    assert_migrates(&sandbox, "shop", &mut migrate);
    // On a server, only the log is a file, and a deployment takes long to create.
    let names = if ON_A_SERVER { &NAMES[..1] } else { &NAMES };
    for name in names {
        let data = format!("--data={name}");
        assert_migrates(
            &sandbox,
            name,
            &mut run(&sandbox, name, &["migrate", &data]),
        );
        assert_success(&mut run(&sandbox, name, &["verify", &data]), name);
    }
}

#[test]
fn a_path_is_taken_literally_from_every_source() {
    // Both builds read their settings alike.
    let Some(sandbox) = Sandbox::new().filter(|_| !ON_A_SERVER) else {
        return;
    };
    let name = "file:env";
    let mut migrate = run(&sandbox, name, &["migrate"]);
    assert_migrates(&sandbox, name, migrate.env("COMMERCE_DATA", name));
    for (number, config) in ["file:c.toml", "c?mode=ro#1", "%63.toml"]
        .iter()
        .enumerate()
    {
        let name = format!("file:toml{number}");
        fs::write(sandbox.path().join(config), format!("data = {name:?}")).unwrap();
        let mut migrate = run(&sandbox, &name, &["migrate", "--config", config]);
        assert_migrates(&sandbox, &name, &mut migrate);
    }
}

#[test]
fn a_path_that_no_database_can_have_is_refused() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let not_utf8 = OsStr::from_bytes(b"sh\xffop");
    for name in [OsStr::new(""), not_utf8] {
        for arguments in ["migrate", "verify", "serve"] {
            let mut command = run(&sandbox, "refused", &[arguments, "--data"]);
            let line = refused(command.arg(name));
            assert!(line.contains("data"), "{line}");
        }
    }
    fs::write(sandbox.path().join("nul.toml"), "data = \"sh\\u0000op\"").unwrap();
    let line = refused(&mut run(
        &sandbox,
        "refused",
        &["migrate", "--config", "nul.toml"],
    ));
    assert!(line.contains("data directory"), "{line}");
    assert_eq!(
        sandbox.path().read_dir().unwrap().count(),
        1,
        "nothing was written"
    );
}
