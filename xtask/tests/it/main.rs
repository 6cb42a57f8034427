//! The command as a newcomer and CI run it: what it prints, and the exit code. And the house rules of the repository.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test suite")]

mod commerce;
mod compose;
mod house;
mod imports;
mod msrv;
mod services;

use std::{
    path::PathBuf,
    process::{Command, Output},
};

/// A package of its own whose only file reads `source`.
fn package(name: &str, source: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = format!("[package]\nname = {name:?}\nedition = \"2024\"\n[workspace]\n");
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(folder.join("src/lib.rs"), source).unwrap();
    folder
}

fn xtask(folder: PathBuf, args: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.env_remove("CI");
    run(command, folder, args)
}

fn run(mut command: Command, folder: PathBuf, args: &[&str]) -> (bool, String) {
    // These are not about servers: those named here are never asked.
    command
        .env("MAINSTAY_KAFKA_URL", "127.0.0.1:1")
        .env("MAINSTAY_POSTGRES_URL", "postgres://127.0.0.1:1")
        .env("MAINSTAY_REDIS_URL", "redis://127.0.0.1:1");
    // With a target of its own nobody waits for the lock of another build.
    command.env("CARGO_TARGET_DIR", folder.join("target"));
    let Output {
        status,
        stdout,
        stderr,
    } = command.args(args).current_dir(folder).output().unwrap();
    let text = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (status.success(), text.concat())
}

#[test]
fn a_failed_step_is_in_the_table_and_in_the_exit_code() {
    let (succeeded, text) = xtask(
        package("unformatted", "pub   fn f( ) { }"),
        &["test", "--only", "fmt"],
    );
    assert!(!succeeded && text.contains("FAILED"), "{text}");
}

#[test]
fn a_good_step_succeeds_and_the_last_line_counts_tests() {
    let (succeeded, text) = xtask(
        package("formatted", "pub fn f() {}\n"),
        &["test", "--only", "fmt"],
    );
    assert!(succeeded, "{text}");
    assert!(text.starts_with("Going to check"), "{text}");
    assert!(text.ends_with("\n0 passed, 0 failed\n"), "{text}");
}

#[test]
fn a_failed_test_is_counted() {
    let source = "#[test]\nfn good() {}\n\n#[test]\nfn bad() {\n    panic!()\n}\n";
    let (succeeded, text) = xtask(package("failing", source), &["test", "--only", "test"]);
    assert!(!succeeded, "{text}");
    assert!(text.contains("\n1 passed, 1 failed\n"), "{text}");
}

#[test]
fn in_ci_a_test_that_did_not_run_is_a_failure() {
    let source = "#[test]\nfn good() {}\n\n#[test]\n#[ignore]\nfn skipped() {}\n";
    let folder = package("ignoring", source);
    let args = ["test", "--only", "test"];
    let (succeeded, text) = xtask(folder.clone(), &args);
    assert!(succeeded && text.contains("1 tests were ignored"), "{text}");
    let mut in_ci = Command::new(env!("CARGO_BIN_EXE_xtask"));
    in_ci.env("CI", "1");
    let (succeeded, text) = run(in_ci, folder, &args);
    assert!(!succeeded && text.contains("did not run"), "{text}");
}

#[test]
fn unknown_steps_and_commands_fail() {
    for args in [&["test", "--only", "nothing"][..], &["nothing"]] {
        let (succeeded, text) = xtask(PathBuf::from("."), args);
        assert!(!succeeded && text.contains("nothing"), "{text}");
    }
}
