//! The migration runner.

use mainstay_database::{Migration, Migrations, Namespace};

use super::*;

const FIRST: Migration = Migration {
    name: "0001_thing",
    sql: "CREATE TABLE {ns}thing (id INTEGER PRIMARY KEY) STRICT;
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
    let names =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'number' ORDER BY name";
    let names = sqlx::query_scalar(names);
    names.fetch_all(database.reader()).await.unwrap()
}

async fn migrate(database: &Database, migrations: &Migrations) -> Result<Vec<&'static str>, Error> {
    let mut progress = Vec::new();
    let namespace = Namespace::plain();
    let migrated = database.migrate_with(migrations, &namespace, |step| progress.push(step));
    migrated.await.map(|()| progress)
}

#[tokio::test]
async fn progress_names_the_steps_that_were_missing() {
    let (database, _directory) = database().await;
    assert_eq!(migrate(&database, &OLD).await.unwrap(), ["0001_thing"]);
    assert_eq!(migrate(&database, &NEW).await.unwrap(), ["0002_colour"]);
    assert_eq!(migrate(&database, &NEW).await.unwrap(), [""; 0]);
    assert_eq!(tables(&database).await, ["thing", "thing_schema"]);
}

#[tokio::test]
async fn ten_handles_migrate_one_new_file_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.db");
    let migrating: Vec<_> = (0..10)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move {
                let database = Database::open(path).await.unwrap();
                migrate(&database, &NEW).await.unwrap().len()
            })
        })
        .collect();
    let mut steps = 0;
    for migrated in migrating {
        steps += migrated.await.unwrap();
    }
    assert_eq!(steps, 2, "one handle ran both, nine found them done");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let (database, _directory) = database().await;
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
                sql: "CREATE TABLE {ns}thing (id TEXT PRIMARY KEY) STRICT;",
            },
            SECOND,
        ],
    };
    let (database, _directory) = database().await;
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
    let (database, _directory) = database().await;
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
            sql: "CREATE TABLE {ns}other (id INTEGER PRIMARY KEY) STRICT;",
        }],
    };
    let (database, _directory) = database().await;
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

#[tokio::test]
async fn a_prefix_may_be_a_reserved_word_but_not_reserved_by_sqlite() {
    let (database, _directory) = database().await;
    let namespace = Namespace::prefixed("order").unwrap();
    database.migrate(&NEW, &namespace).await.unwrap();
    assert_eq!(tables(&database).await, ["orderthing", "orderthing_schema"]);

    let mut tx = database.begin().await.unwrap();
    let create = "CREATE TABLE sqlite_thing (id INTEGER PRIMARY KEY)";
    let refused = sqlx::query(create).execute(&mut *tx).await.unwrap_err();
    assert!(refused.to_string().contains("reserved"), "{refused}");
    assert!(Namespace::prefixed("sqlite_").is_err());
}

#[tokio::test]
async fn two_writers_and_a_migration_take_turns() {
    let (database, _directory) = database().await;
    let mut tx = database.begin().await.unwrap();
    insert(&mut tx, 1, 10).await.unwrap();
    let migrating = tokio::spawn({
        let other = Database::open(database.path()).await.unwrap();
        async move { migrate(&other, &NEW).await }
    });
    assert_eq!(tables(&database).await, [""; 0]);
    database.commit(tx).await.unwrap();
    assert_eq!(migrating.await.unwrap().unwrap().len(), 2);
}

#[tokio::test]
async fn a_schema_that_is_up_to_date_waits_for_no_writer() {
    let (database, _directory) = database().await;
    migrate(&database, &NEW).await.unwrap();
    let writing = database.begin().await.unwrap();
    let migrating = migrate(&database, &NEW);
    let steps = tokio::time::timeout(Duration::from_secs(60), migrating).await;
    assert_eq!(steps.unwrap().unwrap(), [""; 0]);
    drop(writing);
}

#[tokio::test]
async fn a_tool_of_the_users_own_can_run_the_migrations() {
    let (database, _directory) = database().await;
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
    let (database, _directory) = database().await;
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
