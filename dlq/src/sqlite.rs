//! Dead letters in a SQLite file.

#[cfg(test)]
mod plans;

use async_trait::async_trait;
use mainstay_database::{
    Migration, Migrations, Namespace,
    sqlite::{Database, classify},
};
use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use crate::{
    Error,
    sql::{Dialect, Kept, Statements, implement_roles},
    store::DeadLetterDatabase,
};

pub use sqlx;

/// The schema of the dead letter queue, for services that run migrations themselves; see
/// [`open_without_migrating`](crate::DeadLetterQueueBuilder::open_without_migrating).
pub const MIGRATIONS: Migrations = Migrations {
    component: "dlq",
    steps: &[Migration {
        name: "0001_dlq",
        sql: include_str!("../migrations/sqlite/0001_dlq.sql"),
    }],
};

/// There is one writer, so nothing is locked row by row.
const DIALECT: Dialect = Dialect {
    now: "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
    begin_snapshot: "BEGIN",
    isolation: "'read committed'",
    each: ["json_each", "", ""],
    among: ["IN (", ")"],
    ordered: "json_each($2) AS r ORDER BY r.key",
    unhex: ["unhex(", ")"],
    share: "",
    lock: "",
    skip: "",
};

/// Dead letters in a SQLite file. Clones share everything.
#[derive(Clone, Debug)]
pub struct SqliteDeadLetters {
    database: Database,
    sql: Statements,
    kept: Kept,
}

impl SqliteDeadLetters {
    const fn reader(&self) -> &SqlitePool {
        self.database.reader()
    }

    #[expect(
        clippy::unused_self,
        reason = "a store on a server may not keep statements"
    )]
    const fn persists(&self) -> bool {
        true
    }
}

#[async_trait]
impl DeadLetterDatabase for Database {
    type Store = SqliteDeadLetters;

    async fn open_store(
        &self,
        namespace: &Namespace,
        migrate: bool,
    ) -> Result<SqliteDeadLetters, Error> {
        if migrate {
            self.migrate(&MIGRATIONS, namespace).await?;
        } else {
            self.check_schema(&MIGRATIONS, namespace, &crate::sql::PROBES)
                .await?;
        }
        Ok(SqliteDeadLetters {
            database: self.clone(),
            sql: Statements::new(namespace, DIALECT),
            kept: Kept::default(),
        })
    }
}

implement_roles!(SqliteDeadLetters, Sqlite, SqliteConnection, classify);
