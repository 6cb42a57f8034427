//! Servers as `cargo xtask` starts, finds and removes them: real ones, each test in a checkout of its own.

use std::{
    fs,
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use mainstay_testkit::{kafka, postgres::Binaries, redis, skipped};
use serde_json::Value;

use crate::package;

/// The directory for what the servers of a checkout store. In a common one, the `up` of another test
/// would remove what this one left behind.
fn temporary(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap().to_str().unwrap();
    std::env::temp_dir().join(format!("{name}-{}", std::process::id()))
}

/// Without what the run of this test was told, but for the version.
fn command(folder: &Path, args: &[&str]) -> Command {
    let temporary = temporary(folder);
    fs::create_dir_all(&temporary).unwrap();
    // The server's user must be able to enter it.
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    // With a target of its own nobody waits for the lock of another build.
    command
        .args(args)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("TMPDIR", temporary);
    for name in [
        "CI",
        "MAINSTAY_KAFKA_URL",
        "MAINSTAY_POSTGRES_URL",
        "MAINSTAY_REDIS_URL",
        "MAINSTAY_REQUIRE",
    ] {
        command.env_remove(name);
    }
    command
}

fn output(mut command: Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn xtask(folder: &Path, args: &[&str]) -> String {
    let (succeeded, text) = output(command(folder, args));
    assert!(succeeded, "{args:?}: {text}");
    text
}

/// PostgreSQL's, then that of Redis, then Kafka's.
fn status(folder: &Path) -> [Value; 3] {
    let text = xtask(folder, &["services", "status"]);
    serde_json::from_str(&text).unwrap()
}

fn data_of(state: &Value) -> PathBuf {
    PathBuf::from(state["data"].as_str().unwrap())
}

/// What a server's process has among its arguments.
const ARGUMENTS: [&str; 3] = ["data", "redis.conf", "server.properties"];

/// How each says in its log that it is ready.
const READY: [&str; 3] = [
    "ready to accept connections",
    "Ready to accept connections",
    "Kafka Server started",
];

/// A checkout of its own, if there are programs to start; what it runs goes with it.
struct Checkout(PathBuf);

impl Checkout {
    fn new(name: &str) -> Option<Self> {
        let found = [
            ("postgres", Binaries::find(None).err()),
            ("redis", redis::Binaries::find().err()),
            ("kafka", kafka::Binaries::find().err()),
        ];
        for (service, error) in found {
            if let Some(error) = error {
                skipped("xtask services", service, &error.to_string());
                return None;
            }
        }
        let source = "#[test]\nfn waits() {\n    let url = std::env::var(\"MAINSTAY_POSTGRES_URL\");\n    let file = std::path::Path::new(\"url\");\n    std::fs::write(\"url.new\", url.unwrap()).unwrap();\n    std::fs::rename(\"url.new\", file).unwrap();\n    for _ in 0..12_000 {\n        if !file.exists() {\n            break;\n        }\n        std::thread::sleep(std::time::Duration::from_millis(10));\n    }\n}\n";
        let folder = package(name, source);
        drop(fs::remove_file(folder.join("url")));
        xtask(&folder, &["services", "down"]);
        Some(Self(folder))
    }

    /// A run of `cargo xtask test` whose test waits until the file `url` is removed.
    fn waiting_run(&self) -> (Child, u16) {
        let child = command(&self.0, &["test", "--only", "test"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(|| self.0.join("url").exists());
        let url = fs::read_to_string(self.0.join("url")).unwrap();
        (child, port_of(&url))
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        drop(fs::remove_file(self.0.join("url")));
        drop(output(command(&self.0, &["services", "down"])));
        drop(fs::remove_dir_all(temporary(&self.0)));
    }
}

fn port_of(url: &str) -> u16 {
    let (_, port) = url.trim_end().rsplit_once(':').unwrap();
    port.split('/').next().unwrap().parse().unwrap()
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn wait_for(mut holds: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not happen within two minutes");
}

fn kill(pid: &str) {
    let status = Command::new("kill").args(["-9", pid]).status().unwrap();
    assert!(status.success());
}

/// The process that was started with all of these among its arguments.
fn running_with(arguments: &[&str]) -> Option<String> {
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let parts: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let found = arguments
            .iter()
            .all(|argument| parts.contains(&argument.as_bytes()));
        found.then(|| entry.file_name().into_string().unwrap())
    })
}

/// Of each server that the run of a checkout started.
fn directories_of(checkout: &Checkout, run: u32) -> Vec<PathBuf> {
    let owned = |path: &PathBuf| {
        let owner = fs::read_to_string(path.join("owner")).unwrap_or_default();
        owner.starts_with(&format!("{run} "))
    };
    let entries = fs::read_dir(temporary(&checkout.0)).unwrap().flatten();
    let directories = entries.map(|entry| entry.path()).filter(owned).collect();
    assert_eq!(Vec::len(&directories), 3, "{directories:?}");
    directories
}

fn gone(directories: &[PathBuf]) -> bool {
    directories.iter().all(|directory| !directory.exists())
}

#[test]
fn a_second_up_finds_the_first_and_down_leaves_nothing_behind() {
    let Some(Checkout(ref folder)) = Checkout::new("services-up-down") else {
        return;
    };
    let first = xtask(folder, &["services", "up"]);
    let urls: Vec<&str> = first.lines().collect();
    assert!(
        urls[0].starts_with("MAINSTAY_POSTGRES_URL=postgres://postgres:")
            && urls[1].starts_with("MAINSTAY_REDIS_URL=redis://:")
            && urls[2].starts_with("MAINSTAY_KAFKA_URL=127.0.0.1:"),
        "{first}"
    );
    assert_eq!(xtask(folder, &["services", "up"]), first);
    let states = status(folder);
    for ((state, line), ready) in states.iter().zip(&urls).zip(READY) {
        let (_, url) = line.split_once('=').unwrap();
        assert_eq!(state["url"], url);
        assert_eq!(state["port"], port_of(line));
        assert!(data_of(state).exists() && listens(port_of(line)));
        // Kafka answers a moment before it says so.
        let log = || fs::read_to_string(state["log"].as_str().unwrap()).unwrap();
        wait_for(|| log().contains(ready));
        // Kafka has no password.
        if let Some((login, _)) = line.split_once('@') {
            let (_, secret) = login.rsplit_once(':').unwrap();
            assert!(!log().contains(secret), "{}", log());
        }
    }

    assert!(xtask(folder, &["services", "down"]).contains("stopped"));
    for ((state, line), argument) in states.iter().zip(&urls).zip(ARGUMENTS) {
        let data = data_of(state);
        assert!(!data.exists() && !listens(port_of(line)));
        assert_eq!(running_with(&[data.join(argument).to_str().unwrap()]), None);
        let service = state["service"].as_str().unwrap();
        let file = format!("target/services/{service}.json");
        assert!(!folder.join(file).exists());
    }
    assert!(status(folder).iter().all(|state| state["url"].is_null()));
    let down = xtask(folder, &["services", "down"]);
    assert_eq!(
        down,
        "postgres: was not running\nredis: was not running\nkafka: was not running\n"
    );
}

#[test]
fn what_a_killed_server_left_is_removed_by_the_next_up() {
    let Some(Checkout(ref folder)) = Checkout::new("services-killed-server") else {
        return;
    };
    let first = xtask(folder, &["services", "up"]);
    let states = status(folder);
    for (state, line) in states.iter().zip(first.lines()) {
        kill(&state["pid"].to_string());
        wait_for(|| !listens(port_of(line)));
    }
    assert!(status(folder).iter().all(|state| state["url"].is_null()));
    let second = xtask(folder, &["services", "up"]);
    let removed = "removed what an earlier run left behind";
    assert_eq!(second.matches(removed).count(), 3, "{second}");
    for (state, now) in states.iter().zip(status(folder)) {
        assert!(!data_of(state).exists());
        assert_ne!(now["data"], state["data"]);
    }
}

#[test]
fn a_server_whose_start_was_not_recorded_is_stopped_by_the_next_up() {
    let Some(Checkout(ref folder)) = Checkout::new("services-unrecorded") else {
        return;
    };
    let first = xtask(folder, &["services", "up"]);
    let mut data = Vec::new();
    for service in ["postgres", "redis", "kafka"] {
        let file = folder.join(format!("target/services/{service}.json"));
        let mut state: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        data.push(data_of(&state));
        // So it looks if `up` was killed between the server's start and its answer.
        state["url"] = Value::Null;
        fs::write(&file, state.to_string()).unwrap();
    }
    xtask(folder, &["services", "up"]);
    for ((data, line), argument) in data.iter().zip(first.lines()).zip(ARGUMENTS) {
        assert!(!data.exists() && !listens(port_of(line)));
        assert_eq!(running_with(&[data.join(argument).to_str().unwrap()]), None);
    }
}

/// Programs that run and do not do what they should.
fn broken(initdb: &str, postgres: &str) -> tempfile::TempDir {
    // The server's user must be able to enter it.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for (name, does) in [("initdb", initdb), ("postgres", postgres)] {
        let version = "[ \"$1\" = --version ] && echo 'postgres (PostgreSQL) 15.0' && exit 0";
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{version}\n{does}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

#[test]
fn a_failed_start_names_the_step_and_shows_what_was_said_last() {
    let Some(Checkout(ref folder)) = Checkout::new("services-broken") else {
        return;
    };
    let up = |programs: &Path| {
        let mut up = command(folder, &["services", "up"]);
        up.env("MAINSTAY_POSTGRES_BIN", programs);
        output(up)
    };
    let real = Binaries::find(None).unwrap().directory;
    let initdb = format!("exec {}/initdb \"$@\"", real.display());
    for (programs, step) in [
        (
            broken("echo this disk is bad >&2; exit 3", ""),
            "initdb failed: it ended with exit status: 3",
        ),
        (
            broken(&initdb, "echo this disk is bad; exit 4"),
            "starting postgres failed: it ended with exit status: 4",
        ),
    ] {
        let (succeeded, text) = up(programs.path());
        assert!(!succeeded && text.contains(step), "{text}");
        assert!(
            text.contains("its last lines:\n  this disk is bad"),
            "{text}"
        );
        assert!(!folder.join("target/services/postgres.json").exists());
    }
    let (succeeded, text) = up(Path::new("nowhere"));
    assert!(
        !succeeded && text.contains("MAINSTAY_POSTGRES_BIN names nowhere"),
        "{text}"
    );
}

#[test]
fn the_server_of_a_test_run_goes_with_the_run() {
    let Some(checkout) = Checkout::new("services-run") else {
        return;
    };
    let (mut run, port) = checkout.waiting_run();
    let directories = directories_of(&checkout, run.id());
    assert!(listens(port));
    fs::remove_file(checkout.0.join("url")).unwrap();
    assert!(run.wait().unwrap().success());
    assert!(gone(&directories) && !listens(port));
}

#[test]
fn the_server_of_a_killed_test_run_goes_as_well() {
    let Some(checkout) = Checkout::new("services-killed-run") else {
        return;
    };
    let (mut run, port) = checkout.waiting_run();
    let directories = directories_of(&checkout, run.id());
    run.kill().unwrap();
    run.wait().unwrap();
    wait_for(|| gone(&directories) && !listens(port));
}

#[test]
fn what_a_run_left_that_was_killed_with_its_watcher_is_removed_by_the_next_up() {
    let Some(checkout) = Checkout::new("services-abandoned") else {
        return;
    };
    let (mut run, port) = checkout.waiting_run();
    let directories = directories_of(&checkout, run.id());
    for directory in &directories {
        let watcher = running_with(&["mainstay-watch", directory.to_str().unwrap()]);
        kill(&watcher.unwrap());
    }
    run.kill().unwrap();
    run.wait().unwrap();
    xtask(&checkout.0, &["services", "up"]);
    assert!(gone(&directories) && !listens(port));
}

#[test]
fn suites_without_a_server_are_named_and_fail_where_they_must_run() {
    let source = "#[test]\nfn good() {\n    use std::io::Write;\n    let line = b\"suite skipped: shop on postgres: no server\\n\";\n    std::io::stdout().write_all(line).unwrap();\n}\n";
    let folder = package("services-missing", source);
    let run = |variable: &str, value: &str| {
        let mut test = command(&folder, &["test", "--only", "test"]);
        test.env("MAINSTAY_POSTGRES_BIN", "nowhere")
            .env("MAINSTAY_REDIS_BIN", "nowhere")
            .env("MAINSTAY_KAFKA_LIBS", "nowhere")
            .env(variable, value);
        output(test)
    };
    let (succeeded, text) = run("MAINSTAY_REQUIRE", "none");
    assert!(succeeded, "{text}");
    assert!(
        text.contains("\nSuites on PostgreSQL did not run: MAINSTAY_POSTGRES_BIN names nowhere")
            && text.contains("\nSuites on Redis did not run: MAINSTAY_REDIS_BIN names nowhere")
            && text.contains(
                "\nSuites on Kafka had librdkafka's mock cluster: MAINSTAY_KAFKA_LIBS names nowhere"
            ),
        "{text}"
    );
    assert!(
        text.contains("\nDid not run: shop on postgres: no server\n"),
        "{text}"
    );
    for (variable, value, missing) in [
        ("MAINSTAY_REQUIRE", "none,postgres", "PostgreSQL"),
        ("MAINSTAY_REQUIRE", "kafka", "Kafka"),
        ("MAINSTAY_REQUIRE", "redis", "Redis"),
        ("CI", "true", "PostgreSQL"),
    ] {
        let (succeeded, text) = run(variable, value);
        assert!(
            !succeeded && text.contains(&format!("FAILED: there is no {missing}")),
            "{text}"
        );
    }
    fs::remove_dir_all(temporary(&folder)).unwrap();
}
