//! Fences.

use async_trait::async_trait;
use mainstay_database::{
    Namespace,
    sqlite::{Database, statement},
};
use sqlx::{SqlStr, SqliteConnection};

use super::{MIGRATIONS, check_schema, driver};
use crate::{Error, Fences, FencingToken, name};

/// Fences in a SQLite file: where the guarded rows are.
#[derive(Clone, Debug)]
pub struct SqliteFences {
    check: SqlStr,
    seen: SqlStr,
    /// What triggers of guarded tables look at.
    mark: Option<[SqlStr; 3]>,
}

/// Opens [`SqliteFences`].
#[derive(Clone, Debug)]
#[must_use = "call open() to open the fences"]
pub struct FencesBuilder {
    database: Database,
    namespace: Namespace,
    guards_tables: bool,
}

impl SqliteFences {
    /// Starts to open the fences in `database`, which may be a `&Database`.
    pub fn builder(database: impl Into<Database>) -> FencesBuilder {
        FencesBuilder {
            database: database.into(),
            namespace: Namespace::plain(),
            guards_tables: false,
        }
    }
}

impl FencesBuilder {
    /// Where the tables are; default: plain names.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// Whether checks satisfy the triggers of [`guarded`](super::guarded) tables; default: no.
    ///
    /// SQLite knows one mark of a transaction that ends with it and that a trigger can read: `defer_foreign_keys`.
    /// With this set, foreign keys of a transaction that checks are enforced at its commit, not at each statement.
    pub const fn guards_tables(mut self, guards: bool) -> Self {
        self.guards_tables = guards;
        self
    }

    /// Brings the schema up to date and opens the fences.
    ///
    /// # Errors
    /// [`Error::Database`] when the schema is newer than this build, or the file is busy.
    pub async fn open(self) -> Result<SqliteFences, Error> {
        self.database.migrate(&MIGRATIONS, &self.namespace).await?;
        Ok(self.opened())
    }

    /// Opens the fences in a schema that another tool made from [`MIGRATIONS`].
    ///
    /// # Errors
    /// [`Error::Database`] with [`MissingSchema`](mainstay_database::Error::MissingSchema) if a table or column is
    /// missing.
    pub async fn open_without_migrating(self) -> Result<SqliteFences, Error> {
        check_schema(&self.database, &self.namespace).await?;
        Ok(self.opened())
    }

    fn opened(self) -> SqliteFences {
        let sql = |text: &str| statement(&self.namespace, text);
        let mark = || {
            [
                // Rows of earlier transactions.
                sql("DELETE FROM {ns}dlock_checked WHERE NOT (SELECT defer_foreign_keys FROM pragma_defer_foreign_keys)"),
                sql("INSERT INTO {ns}dlock_checked SELECT name, fence FROM {ns}dlock_fences WHERE name = $1
                     ON CONFLICT DO NOTHING"),
                sql("PRAGMA defer_foreign_keys = ON"),
            ]
        };
        SqliteFences {
            check: sql("INSERT INTO {ns}dlock_fences AS f (name, fence) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET fence = excluded.fence WHERE f.fence <= excluded.fence"),
            seen: sql("SELECT fence FROM {ns}dlock_fences WHERE name = $1"),
            mark: self.guards_tables.then(mark),
        }
    }
}

#[async_trait]
impl Fences for SqliteFences {
    type Connection = SqliteConnection;

    async fn check(
        &self,
        connection: &mut SqliteConnection,
        name: &str,
        token: FencingToken,
    ) -> Result<(), Error> {
        name::check(name)?;
        let accepted = sqlx::query(self.check.clone())
            .bind(name)
            .bind(token.as_i64())
            .execute(&mut *connection)
            .await
            .map_err(driver)?;
        if accepted.rows_affected() == 0 {
            let seen: i64 = sqlx::query_scalar(self.seen.clone())
                .bind(name)
                .fetch_one(connection)
                .await
                .map_err(driver)?;
            return Err(Error::Fenced {
                name: name.to_owned(),
                token,
                seen: FencingToken::new(seen),
            });
        }
        for statement in self.mark.iter().flatten() {
            sqlx::query(statement.clone())
                .bind(name)
                .execute(&mut *connection)
                .await
                .map_err(driver)?;
        }
        Ok(())
    }
}
