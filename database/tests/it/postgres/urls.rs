//! URLs: what they name is what is connected to, and they never panic.

use std::fmt::Write as _;

use sqlx::AssertSqlSafe;

use super::*;

/// Every character that means something in a URL.
const SPECIAL: &str = "a/b#c?d:e@f%g h&i=j+k'l\"ü";

/// As a URL holds any text.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        write!(encoded, "%{byte:02X}").unwrap();
        encoded
    })
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn run(database: &Database, sql: String) {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql));
    sql.execute(database.pool()).await.unwrap();
}

#[tokio::test]
async fn credentials_names_and_settings_of_a_url_are_taken_as_they_are() {
    let Some((owner, server)) = database().await else {
        return;
    };
    let options = server.options();
    let address = format!("{}:{}", options.get_host(), options.get_port());
    // Roles and databases belong to the whole server.
    let own = server.name().rsplit('_').next().unwrap();
    let mut names: Vec<String> = SPECIAL.chars().map(|c| format!("{own}{c}")).collect();
    names.push(format!("{own}{SPECIAL}"));
    for name in &names {
        let (role, password) = (quoted(name), name.replace('\'', "''"));
        run(
            &owner,
            format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'"),
        )
        .await;
    }
    let special = quoted(&format!("{own}{SPECIAL}"));
    run(&owner, format!("CREATE DATABASE {special}")).await;
    for name in &names {
        let (user, there) = (encoded(name), encoded(&format!("{own}{SPECIAL}")));
        let settings = format!(
            "application_name={}&options={}",
            encoded(SPECIAL),
            encoded("-c statement_timeout=54321 -c lock_timeout=12345")
        );
        for url in [
            format!("postgres://{user}:{user}@{address}/{there}?{settings}"),
            format!(
                "postgresql://{address}/?user={user}&password={user}&dbname={there}&{settings}"
            ),
        ] {
            let database = Database::builder(&*url).max_connections(1).open().await;
            let database = database.unwrap_or_else(|error| panic!("{url}: {error}"));
            let found = "SELECT current_user::text, current_database()::text, current_setting('application_name'),
                current_setting('statement_timeout'), current_setting('lock_timeout')";
            let found: (String, String, String, String, String) = sqlx::query_as(found)
                .fetch_one(database.pool())
                .await
                .unwrap();
            let (statements, locks) = ("54321ms".to_owned(), "12345ms".to_owned());
            assert_eq!(
                (&found.0, &found.3, &found.4),
                (name, &statements, &locks),
                "{url}"
            );
            assert_eq!(found.1, format!("{own}{SPECIAL}"), "{url}");
            // The server keeps printable ASCII only.
            let shown = SPECIAL.replace('ü', "??");
            let escaped = SPECIAL.replace('ü', "\\xc3\\xbc");
            assert!(found.2 == shown || found.2 == escaped, "{url}: {}", found.2);
            database.close().await;
        }
    }
    run(&owner, format!("DROP DATABASE {special}")).await;
    for name in &names {
        run(&owner, format!("DROP ROLE {}", quoted(name))).await;
    }
}

/// What stands before the character would be taken for a server, and told with part of a password.
#[tokio::test]
async fn credentials_that_must_be_encoded_are_refused_with_how_to_write_them() {
    for url in [
        "postgres://user:1234/secret@localhost/shop",
        "postgres://user:1234#secret@localhost/shop",
        "postgres://user:1234?secret@localhost/shop",
        "postgres://us/er:secret@localhost/shop",
        "postgres://us#er:secret@localhost/shop",
        "postgres://us?er:secret@localhost/shop",
        "postgres://user:secret@localhost/shop#1234",
    ] {
        let error = Database::connect(url).await.unwrap_err();
        assert!(
            matches!(error, Error::CannotOpen { .. }),
            "{url}: {error:?}"
        );
        let said = report(&error);
        assert!(said.contains("write / as %2F"), "{url}: {said}");
        assert!(
            !said.contains("1234") && !said.contains("secret"),
            "{url}: {said}"
        );
    }
}

/// Where there is no such server, or one that answers; the environment may name one.
#[tokio::test]
async fn a_url_without_some_part_never_panics() {
    for url in [
        "postgres:///postgres",
        "postgres://",
        "postgres:///",
        "postgresql://user@/shop",
        "postgres://user:@/shop",
        "postgres://:secret@/shop",
        "postgres://@/",
        "postgres://%2Fno%2Fsuch%2Fdirectory/shop",
        "postgres:///shop?host=/no/such/directory",
        "postgres://[::1]:1/shop",
        "postgres://user:secret@127.0.0.1:1",
        "postgres://user:secret@127.0.0.1:0/shop",
        "postgres://user:secret@127.0.0.1:99999/shop",
        "postgres://%FF@127.0.0.1:1/shop",
        "postgres://user%ZZ@127.0.0.1:1/shop",
        "postgres://127.0.0.1:1/shop?sslmode=nonsense",
        "postgres://127.0.0.1:1/shop?=",
        "postgres://\0",
    ] {
        if let Err(error) = Database::connect(url).await {
            let said = report(&error);
            let of_a_server = matches!(error, Error::CannotOpen { .. } | Error::Unavailable(_));
            assert!(of_a_server && !said.contains("secret"), "{url}: {error:?}");
        }
    }
}
