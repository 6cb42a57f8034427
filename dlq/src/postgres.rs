//! Dead letters in a PostgreSQL database.

#[cfg(test)]
mod plans;
mod roles;

use async_trait::async_trait;
use mainstay_database::{
    Migration, Migrations, Namespace,
    postgres::{Database, classify},
};
use sqlx::{PgConnection, PgPool, Postgres};

use crate::{
    Error,
    sql::{Dialect, Kept, Statements, implement_roles},
    store::DeadLetterDatabase,
};

pub use roles::roles;
pub use sqlx;

/// The schema of the dead letter queue, for services that run migrations themselves; see
/// [`open_without_migrating`](crate::DeadLetterQueueBuilder::open_without_migrating).
pub const MIGRATIONS: Migrations = Migrations {
    component: "dlq",
    steps: &[Migration {
        name: "0001_dlq",
        sql: include_str!("../migrations/postgres/0001_dlq.sql"),
    }],
};

const DIALECT: Dialect = Dialect {
    // Stable within a statement, so an index can be searched by it.
    now: "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint",
    begin_snapshot: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    isolation: "current_setting('transaction_isolation')",
    each: ["jsonb_array_elements", "::jsonb", " (value)"],
    // `IN` may be planned as a join, for which the whole table is read.
    among: ["= ANY (ARRAY(", "))"],
    ordered: "jsonb_array_elements($2::jsonb) WITH ORDINALITY AS r (value, n) ORDER BY r.n",
    unhex: ["decode(", ", 'hex')"],
    share: "FOR KEY SHARE OF b",
    lock: "FOR UPDATE",
    skip: "FOR UPDATE SKIP LOCKED",
};

/// Dead letters in a PostgreSQL database. Clones share everything.
///
/// Admission needs READ COMMITTED: at a higher level it would not see the dead letter that another
/// transaction has just kept. It refuses such a transaction.
#[derive(Clone, Debug)]
pub struct PostgresDeadLetters {
    database: Database,
    sql: Statements,
    kept: Kept,
}

impl PostgresDeadLetters {
    const fn reader(&self) -> &PgPool {
        self.database.pool()
    }

    const fn persists(&self) -> bool {
        self.database.keeps_statements()
    }
}

#[async_trait]
impl DeadLetterDatabase for Database {
    type Store = PostgresDeadLetters;

    async fn open_store(
        &self,
        namespace: &Namespace,
        migrate: bool,
    ) -> Result<PostgresDeadLetters, Error> {
        if migrate {
            self.migrate(&MIGRATIONS, namespace).await?;
        } else {
            self.check_schema(&MIGRATIONS, namespace, &crate::sql::PROBES)
                .await?;
        }
        Ok(PostgresDeadLetters {
            database: self.clone(),
            sql: Statements::new(namespace, DIALECT),
            kept: Kept::default(),
        })
    }
}

implement_roles!(PostgresDeadLetters, Postgres, PgConnection, classify);
