//! The setting of the PostgreSQL server: its sources, its errors, and that no text shows the
//! password.

use std::process::{Command, Output};

use commerce_chassis::ON_A_SERVER;
use sqlx::{AssertSqlSafe, Executor};

use crate::{
    sandbox::{self, DATABASES, Sandbox, on_the_server, prefix, server_options},
    shop::{Shop, assert_settles, body, command, wait_for},
};

pub(crate) const PASSWORD: &str = "a-secret-nobody-prints";

/// Runs a command that must fail, and returns its one line.
pub(crate) fn refused(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let line = String::from_utf8(stderr).unwrap();
    assert!(!status.success() && status.code().is_some(), "{status}");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(!line.contains(PASSWORD), "{line}");
    line
}

#[test]
fn a_build_refuses_the_settings_of_the_other_build() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = command();
    command.arg("migrate").arg("--data").arg(directory.path());
    if ON_A_SERVER {
        let line = refused(&mut command);
        assert!(line.contains("--postgres"), "{line}");
        for (url, prefix, says) in [
            ("no url", "a_", "postgres://USER"),
            ("mysql://u@127.0.0.1:1/u", "a_", "postgres://USER"),
            ("postgres://u@127.0.0.1:1/u", "Ab-", "prefix"),
        ] {
            command.env("COMMERCE_POSTGRES", url);
            let line = refused(command.env("COMMERCE_POSTGRES_PREFIX", prefix));
            assert!(line.contains(says), "{line}");
        }
    } else {
        let line = refused(command.args(["--postgres", &format!("postgres://u:{PASSWORD}@h/d")]));
        assert!(line.contains("--features distributed"), "{line}");
    }
}

#[test]
fn help_does_not_show_the_password() {
    let mut command = command();
    command.env("COMMERCE_POSTGRES", format!("postgres://u:{PASSWORD}@h/d"));
    let Output { stdout, .. } = command.args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(stdout).unwrap();
    assert!(help.contains("COMMERCE_POSTGRES"), "{help}");
    assert!(!help.contains(PASSWORD), "{help}");
}

#[test]
fn a_server_that_cannot_be_used_is_named_in_one_line() {
    let Some(sandbox) = on_a_server() else { return };
    let role = format!("{}guest", prefix(sandbox.path()));
    on_the_server(async |connection| {
        let create = format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'");
        connection.execute(AssertSqlSafe(create)).await.unwrap();
    });
    let server = server_options();
    let (host, port) = (server.get_host(), server.get_port());
    let url = |user: &str, password: &str, port: u16| {
        format!("postgres://{user}:{password}@{host}:{port}/postgres")
    };
    let try_with = |url: String| {
        let mut command = command();
        refused(sandbox::at(command.arg("migrate"), sandbox.path()).env("COMMERCE_POSTGRES", url))
    };

    // The error of a role that may not create databases names the statement to run.
    let line = try_with(url(&role, PASSWORD, port));
    let wanted = format!(
        "CREATE DATABASE {}order OWNER {role}",
        prefix(sandbox.path())
    );
    assert!(line.contains(&wanted), "{line}");
    let line = try_with(url("nobody-of-that-name", PASSWORD, 1));
    assert!(line.contains("order"), "{line}");

    // With existing databases, the role needs no other privilege.
    on_the_server(async |connection| {
        for name in DATABASES {
            let create = format!(
                "CREATE DATABASE {}{name} OWNER {role}",
                prefix(sandbox.path())
            );
            connection.execute(AssertSqlSafe(create)).await.unwrap();
        }
    });
    let mut migrate = command();
    sandbox::at(migrate.arg("migrate"), sandbox.path())
        .env("COMMERCE_POSTGRES", url(&role, PASSWORD, port));
    let Output { status, stderr, .. } = migrate.output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    sandbox::drop_databases(sandbox.path());
    on_the_server(async |connection| {
        let drop = format!("DROP ROLE {role}");
        connection.execute(AssertSqlSafe(drop)).await.unwrap();
    });
}

/// The server ends every connection, as during a restart; the shop continues.
#[test]
fn cut_connections_lose_nothing() {
    let Some(sandbox) = on_a_server() else { return };
    let shop = Shop::open(sandbox.path());
    let mut orders = Vec::new();
    for round in 0..6 {
        for number in 0..5 {
            let (key, body) = (
                format!("k{round}-{number}"),
                body(&[("SKU-001", 1)], "pm_ok"),
            );
            // An order that failed because of the cut is sent again under its key.
            let reply = wait_for("an order to be accepted", || {
                Some(shop.order(&key, &body)).filter(|reply| reply.status == 202)
            });
            orders.push(reply.order_id());
        }
        let cut = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE '{}%'",
            prefix(sandbox.path()).replace('_', "\\_")
        );
        on_the_server(async |connection| connection.execute(AssertSqlSafe(cut)).await.unwrap());
    }
    for order_id in &orders {
        let order = shop.ended(order_id);
        assert_eq!(order["status"], "completed", "{order:#}");
    }
    assert_settles(sandbox.path());
    shop.stop();
}

pub(crate) fn on_a_server() -> Option<Sandbox> {
    Sandbox::new().filter(|_| ON_A_SERVER)
}
