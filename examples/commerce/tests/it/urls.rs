//! URLs of a server: users, passwords and settings reach every connection unchanged.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::{AssertSqlSafe, Executor};

use crate::{
    sandbox::{self, DATABASES, Sandbox, count, database, execute, on_the_server, prefix},
    server::{PASSWORD, on_a_server, refused},
    shop::{Shop, assert_holds, body, command, wait_for},
};

/// Ends of names with a meaning in URLs, SQL, or the driver. The suite of the database crate has
/// each of these characters alone.
const NAMES: [&str; 4] = [
    "/#?",
    ":@%",
    "%2f%zz &user=x+[::1]",
    "größe/#?:@%&=+ '\"\\$1;--",
];

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn quoted(text: &str, quote: char) -> String {
    format!(
        "{quote}{}{quote}",
        text.replace(quote, &format!("{quote}{quote}"))
    )
}

/// Roles that own the databases of a deployment together; removed on drop.
struct Roles {
    sandbox: Sandbox,
    owner: String,
    names: Vec<String>,
}

impl Roles {
    fn create() -> Option<Self> {
        let sandbox = on_a_server()?;
        let owner = format!("{}owner", prefix(sandbox.path()));
        let names: Vec<_> = NAMES.iter().map(|name| format!("{owner}{name}")).collect();
        on_the_server(async |connection| {
            let mut run = async |sql: String| connection.execute(AssertSqlSafe(sql)).await.unwrap();
            run(format!("CREATE ROLE {owner} NOLOGIN")).await;
            run(format!("GRANT {owner} TO CURRENT_USER")).await;
            for name in DATABASES {
                let database = database(sandbox.path(), name);
                run(format!("CREATE DATABASE {database} OWNER {owner}")).await;
            }
            for name in &names {
                let (role, password) = (quoted(name, '"'), quoted(&password(name), '\''));
                // A backslash is an ordinary character in a standard string.
                run(format!(
                    "CREATE ROLE {role} LOGIN IN ROLE {owner} PASSWORD {password}"
                ))
                .await;
                run(format!("ALTER ROLE {role} SET role = {owner}")).await;
            }
        });
        for name in DATABASES {
            let create = format!("CREATE SCHEMA tenant AUTHORIZATION {owner}");
            execute(sandbox.path(), name, &create);
        }
        Some(Self {
            sandbox,
            owner,
            names,
        })
    }

    /// A command of the deployment, as `role` and with settings for every connection.
    fn give(&self, role: &str, command: &mut Command) {
        let server = sandbox::server_options();
        let url = format!(
            "postgres://{}:{}@{}:{}/postgres?application_name={}&options={}",
            encoded(role),
            encoded(&password(role)),
            server.get_host(),
            server.get_port(),
            encoded(APPLICATION),
            encoded("-c search_path=tenant"),
        );
        sandbox::at(command, self.sandbox.path()).env("COMMERCE_POSTGRES", url);
    }
}

impl Drop for Roles {
    fn drop(&mut self) {
        sandbox::drop_databases(self.sandbox.path());
        on_the_server(async |connection| {
            for role in self.names.iter().chain([&self.owner]) {
                let drop_role = format!("DROP ROLE IF EXISTS {}", quoted(role, '"'));
                // If a failed test still uses it, the role is removed with its server.
                drop(connection.execute(AssertSqlSafe(drop_role)).await);
            }
        });
    }
}

const APPLICATION: &str = "my shop/#?&=%";

fn password(role: &str) -> String {
    format!("{PASSWORD}{role}")
}

#[test]
fn every_user_and_password_logs_in_and_the_urls_settings_reach_every_pool() {
    let Some(roles) = Roles::create() else { return };
    let data = roles.sandbox.path();
    for name in &roles.names {
        for arguments in ["migrate", "verify"] {
            let mut command = command();
            roles.give(name, command.arg(arguments));
            let output = command.output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{arguments} as {name}: {stderr}");
        }
    }
    for name in DATABASES {
        let elsewhere = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
        assert_eq!(count(data, name, elsewhere), 0, "{name}");
        let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'tenant'";
        assert!(count(data, name, tables) > 0, "{name}");
    }

    let name = roles.names.last().unwrap();
    let mut serve = command();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--traffic", "off"]);
    roles.give(name, serve.stderr(Stdio::null()));
    let shop = Shop::spawn(serve, data).unwrap();
    let order_id = shop.accept("k", &body(&[("SKU-001", 1)], "pm_ok"));
    shop.ended(&order_id);
    wait_for("connections of every service", || {
        let connected = on_the_server(async |connection| {
            sqlx::query_scalar::<_, String>(
                "SELECT DISTINCT datname::text FROM pg_stat_activity
                 WHERE usename = $1 AND application_name = $2 AND starts_with(datname::text, $3)",
            )
            .bind(name)
            .bind(APPLICATION)
            .bind(prefix(data))
            .fetch_all(connection)
            .await
            .unwrap()
        });
        let all = DATABASES.map(|name| database(data, name));
        (BTreeSet::from_iter(connected) == BTreeSet::from(all)).then_some(())
    });
    shop.stop();
    let mut verify = command();
    roles.give(name, verify.arg("verify"));
    assert!(verify.output().unwrap().status.success());
}

#[test]
fn a_url_without_host_or_user_takes_them_from_the_environment_or_its_parameters() {
    let Some(sandbox) = on_a_server() else { return };
    let server = sandbox::server_options();
    let url = std::env::var(mainstay_testkit::postgres::URL).unwrap();
    let login = url.split_once("://").unwrap().1.split_once('@').unwrap().0;
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (host, port) = (server.get_host(), server.get_port());
    let parameters = format!("host={host}&port={port}&user={user}&password={password}");
    for url in [
        "postgres:///postgres",
        &format!("postgres:///postgres?{parameters}"),
    ] {
        let mut migrate = command();
        sandbox::at(migrate.arg("migrate"), sandbox.path()).env("COMMERCE_POSTGRES", url);
        if !url.contains('?') {
            migrate.env("PGHOST", host).env("PGPORT", port.to_string());
            migrate.env("PGUSER", user).env("PGPASSWORD", password);
        }
        let output = migrate.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{url}: {stderr}");
    }
    assert_holds(sandbox.path());
}

#[test]
fn a_url_that_cannot_be_used_is_refused_in_one_line() {
    let Some(sandbox) = on_a_server() else { return };
    for url in [
        "postgres://",
        "postgres:///",
        "postgres://@/",
        "postgres://:@:0/",
        "postgres://u:a-secret-nobody-prints@h:99999/d",
        "postgres://u:a-secret-nobody-prints@[::1/d",
        "postgres://%ff:a-secret-nobody-prints@127.0.0.1:1/d",
        "postgres://u:a-secret-nobody-prints/x@127.0.0.1:1/d",
        "postgres://u:a-secret-nobody-prints#x@127.0.0.1:1/d",
        "postgres://127.0.0.1:1/d?sslmode=a-secret-nobody-prints",
        "postgres://127.0.0.1/d?port=a-secret-nobody-prints",
        "postgres:a-secret-nobody-prints",
    ] {
        // The defaults of a URL that names no server: an address, or the directory of a socket.
        for host in ["127.0.0.1", "/no-such-directory"] {
            let mut migrate = command();
            sandbox::at(migrate.arg("migrate"), sandbox.path()).env("COMMERCE_POSTGRES", url);
            refused(migrate.env("PGHOST", host).env("PGPORT", "1"));
        }
    }
}
