//! The migration runner.

use mainstay_database::{Migration, Migrations, Namespace, postgres::statement};

use super::*;

const FIRST: Migration = Migration {
    name: "0001_thing",
    sql: "CREATE TABLE {ns}thing (id BIGINT PRIMARY KEY);
          CREATE INDEX {prefix}thing_by_id ON {ns}thing (id);",
};
const SECOND: Migration = Migration {
    name: "0002_colour",
    sql: "ALTER TABLE {ns}thing ADD COLUMN colour TEXT; INSERT INTO {ns}thing VALUES (1, 'red');",
};
const OLD: Migrations = Migrations {
    component: "thing",
    steps: &[FIRST],
};
const NEW: Migrations = Migrations {
    component: "thing",
    steps: &[FIRST, SECOND],
};

async fn tables(database: &Database) -> Vec<String> {
    let names = "SELECT tablename::text FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') \
                 AND tablename <> 'number' ORDER BY 1";
    sqlx::query_scalar(names)
        .fetch_all(database.pool())
        .await
        .unwrap()
}

async fn migrate(database: &Database, migrations: &Migrations) -> Result<Vec<&'static str>, Error> {
    let mut progress = Vec::new();
    let namespace = Namespace::plain();
    let migrated = database.migrate_with(migrations, &namespace, |step| progress.push(step));
    migrated.await.map(|()| progress)
}

#[tokio::test]
async fn progress_names_the_steps_that_were_missing() {
    let Some((database, _server)) = database().await else {
        return;
    };
    assert_eq!(migrate(&database, &OLD).await.unwrap(), ["0001_thing"]);
    assert_eq!(migrate(&database, &NEW).await.unwrap(), ["0002_colour"]);
    assert_eq!(migrate(&database, &NEW).await.unwrap(), [""; 0]);
    assert_eq!(tables(&database).await, ["thing", "thing_schema"]);
}

#[tokio::test]
async fn ten_processes_migrate_one_new_database_at_once() {
    let Some((_, server)) = database().await else {
        return;
    };
    let migrating: Vec<_> = (0..10)
        .map(|_| {
            let url = server.url();
            tokio::spawn(async move {
                let database = Database::connect(&url).await.unwrap();
                migrate(&database, &NEW).await.unwrap().len()
            })
        })
        .collect();
    let mut steps = 0;
    for migrated in migrating {
        steps += migrated.await.unwrap();
    }
    assert_eq!(steps, 2, "one ran both, nine found them done");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let Some((database, _server)) = database().await else {
        return;
    };
    migrate(&database, &NEW).await.unwrap();
    let refused = migrate(&database, &OLD).await.unwrap_err();
    let Error::NewerSchema {
        component,
        found,
        known,
    } = &refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!((component.as_str(), *found, *known), ("thing", 2, 1));
    assert!(!refused.is_retryable());
    assert_eq!(migrate(&database, &NEW).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_changed_migration_is_refused_and_nothing_is_applied() {
    const CHANGED: Migrations = Migrations {
        component: "thing",
        steps: &[
            Migration {
                name: "0001_thing",
                sql: "CREATE TABLE {ns}thing (id TEXT PRIMARY KEY);",
            },
            SECOND,
        ],
    };
    let Some((database, _server)) = database().await else {
        return;
    };
    migrate(&database, &OLD).await.unwrap();
    let refused = migrate(&database, &CHANGED).await.unwrap_err();
    let Error::ChangedMigration { component, version } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!((component.as_str(), *version), ("thing", 1));
    assert_eq!(migrate(&database, &NEW).await.unwrap(), ["0002_colour"]);
}

#[tokio::test]
async fn a_step_that_fails_takes_all_steps_back() {
    const BROKEN: Migrations = Migrations {
        component: "thing",
        steps: &[
            FIRST,
            Migration {
                name: "0002_broken",
                sql: "INSERT INTO {ns}thing VALUES (1); INSERT INTO {ns}nowhere VALUES (1);",
            },
        ],
    };
    let Some((database, _server)) = database().await else {
        return;
    };
    let failed = migrate(&database, &BROKEN).await.unwrap_err();
    assert!(report(&failed).contains("nowhere"), "{}", report(&failed));
    assert_eq!(tables(&database).await, [""; 0]);
    assert_eq!(migrate(&database, &NEW).await.unwrap().len(), 2);
}

#[tokio::test]
async fn components_and_prefixes_keep_their_versions_apart() {
    const OTHER: Migrations = Migrations {
        component: "other",
        steps: &[Migration {
            name: "0001_other",
            sql: "CREATE TABLE {ns}other (id BIGINT PRIMARY KEY);",
        }],
    };
    let Some((database, _server)) = database().await else {
        return;
    };
    let shop = Namespace::prefixed("shop_").unwrap();
    database.migrate(&NEW, &Namespace::plain()).await.unwrap();
    database.migrate(&OLD, &shop).await.unwrap();
    database.migrate(&OTHER, &shop).await.unwrap();
    let expected = [
        "shop_other",
        "shop_other_schema",
        "shop_thing",
        "shop_thing_schema",
        "thing",
        "thing_schema",
    ];
    assert_eq!(tables(&database).await, expected);
}

/// A service runs under a role that may not change schemas; another role migrates.
#[tokio::test]
async fn a_role_without_privileges_may_check_and_may_not_migrate() {
    let Some((owner, server)) = database().await else {
        return;
    };
    migrate(&owner, &OLD).await.unwrap();
    let url = server.url();
    let (_, address) = url.split_once('@').unwrap();
    let role = format!("clerk_{}", server.name());
    for sql in [
        format!("CREATE ROLE {role} LOGIN PASSWORD 'clerk'"),
        format!("GRANT SELECT ON thing_schema TO {role}"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(owner.pool())
            .await
            .unwrap();
    }
    let clerk = Database::connect(&format!("postgres://{role}:clerk@{address}"))
        .await
        .unwrap();
    assert_eq!(migrate(&clerk, &OLD).await.unwrap(), [""; 0]);
    let refused = migrate(&clerk, &NEW).await.unwrap_err();
    assert!(
        report(&refused).contains("permission denied"),
        "{}",
        report(&refused)
    );
    assert!(!refused.is_retryable());
    clerk.close().await;
    for sql in [format!("DROP OWNED BY {role}"), format!("DROP ROLE {role}")] {
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(owner.pool())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_schema_is_created_where_it_is_missing() {
    let Some((database, _server)) = database().await else {
        return;
    };
    // The second one is a word of SQL, so is the prefix.
    for schema in ["shop", "order"] {
        let namespace = Namespace::prefixed("select").unwrap();
        let namespace = namespace.in_schema(schema).unwrap();
        database.migrate(&NEW, &namespace).await.unwrap();
        database.migrate(&NEW, &namespace).await.unwrap();
        let found: i64 =
            sqlx::query_scalar(statement(&namespace, "SELECT count(*) FROM {ns}thing"))
                .fetch_one(database.pool())
                .await
                .unwrap();
        assert_eq!(found, 1);
        let there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(format!("\"{schema}\".\"selectthing_by_id\""))
            .fetch_one(database.pool())
            .await
            .unwrap();
        assert!(there, "{schema}");
    }
}

#[tokio::test]
async fn a_schema_or_role_that_the_server_would_refuse_is_no_namespace() {
    let Some((database, _server)) = database().await else {
        return;
    };
    for sql in [
        "CREATE SCHEMA \"pg_shop\"",
        "CREATE ROLE \"pg_outbox_writer\"",
    ] {
        let answer = sqlx::query(sql).execute(database.pool()).await;
        let code = answer.unwrap_err().into_database_error().unwrap();
        assert_eq!(code.code().unwrap(), "42939", "reserved_name: {sql}");
    }
    assert!(Namespace::plain().in_schema("pg_shop").is_err());
    assert!(Namespace::prefixed("pg_").is_err());
}

#[tokio::test]
async fn a_tool_of_the_users_own_can_run_the_migrations() {
    let Some((database, _server)) = database().await else {
        return;
    };
    for (name, sql) in NEW.sql(&Namespace::plain()) {
        assert!(name.starts_with("000"), "{name}");
        let mut tx = database.begin().await.unwrap();
        let script = sqlx::AssertSqlSafe(sql);
        sqlx::raw_sql(script).execute(&mut *tx).await.unwrap();
        database.commit(tx).await.unwrap();
    }
    assert_eq!(migrate(&database, &NEW).await.unwrap(), [""; 0]);
    check(&database, &NEW).await.unwrap();
    let newer = check(&database, &OLD).await.unwrap_err();
    assert!(matches!(newer, Error::NewerSchema { .. }), "{newer:?}");
}

async fn check(database: &Database, migrations: &Migrations) -> Result<(), Error> {
    let probes = ["SELECT id, colour FROM {ns}thing LIMIT 0"];
    let namespace = Namespace::plain();
    database.check_schema(migrations, &namespace, &probes).await
}

#[tokio::test]
async fn a_schema_is_checked_with_and_without_a_version_table() {
    let Some((database, _server)) = database().await else {
        return;
    };
    let none = check(&database, &NEW).await.unwrap_err();
    assert!(matches!(none, Error::MissingSchema { .. }), "{none:?}");
    let said = "the schema of thing is missing or too old, run its migrations";
    assert!(none.to_string().starts_with(said), "{none}");

    migrate(&database, &OLD).await.unwrap();
    let old = check(&database, &NEW).await.unwrap_err().to_string();
    assert!(old.contains("0002_colour, was not applied"), "{old}");

    migrate(&database, &NEW).await.unwrap();
    let mut tx = database.begin().await.unwrap();
    let forget = "DROP TABLE thing_schema";
    sqlx::query(forget).execute(&mut *tx).await.unwrap();
    database.commit(tx).await.unwrap();
    check(&database, &NEW).await.unwrap();
}
