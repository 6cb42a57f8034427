//! Fences.

use async_trait::async_trait;
use mainstay_database::{
    Namespace,
    postgres::{Database, statement},
};
use sqlx::{PgConnection, SqlStr};

use super::{MIGRATIONS, driver};
use crate::{Error, Fences, FencingToken, name};

/// Reads all columns that this build needs, and no row. A writer sees no other table.
const PROBE: &str = "SELECT name, fence FROM {ns}dlock_fences WHERE false";

/// Fences in a PostgreSQL database: where the guarded rows are.
#[derive(Clone, Debug)]
pub struct PostgresFences {
    check: SqlStr,
    seen: SqlStr,
    keeps_statements: bool,
}

/// Opens [`PostgresFences`].
#[derive(Clone, Debug)]
#[must_use = "call open() to open the fences"]
pub struct FencesBuilder {
    database: Database,
    namespace: Namespace,
}

impl PostgresFences {
    /// Starts to open the fences in `database`: a [`Database`], or a `PgPool` that exists.
    pub fn builder(database: impl Into<Database>) -> FencesBuilder {
        FencesBuilder {
            database: database.into(),
            namespace: Namespace::plain(),
        }
    }
}

impl FencesBuilder {
    /// Where the tables are; default: plain names.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// Brings the schema up to date and opens the fences.
    ///
    /// # Errors
    /// [`Error::Database`] when the schema is newer than this build, or the server cannot be used.
    pub async fn open(self) -> Result<PostgresFences, Error> {
        self.database.migrate(&MIGRATIONS, &self.namespace).await?;
        Ok(self.opened())
    }

    /// Opens the fences in a schema that another tool made from [`MIGRATIONS`].
    ///
    /// # Errors
    /// [`Error::Database`] with [`MissingSchema`](mainstay_database::Error::MissingSchema) if a table or column is
    /// missing.
    pub async fn open_without_migrating(self) -> Result<PostgresFences, Error> {
        let checked = self
            .database
            .check_schema(&MIGRATIONS, &self.namespace, &[PROBE]);
        checked.await?;
        Ok(self.opened())
    }

    fn opened(self) -> PostgresFences {
        // The row stays locked until the transaction ends, so checks of one name take turns.
        let check = "WITH accepted AS (
               INSERT INTO {ns}dlock_fences AS f (name, fence) VALUES ($1, $2)
               ON CONFLICT (name) DO UPDATE SET fence = excluded.fence WHERE f.fence <= excluded.fence
               RETURNING fence),
             checked AS (
               SELECT coalesce(current_setting('mainstay_dlock.checked', true), '') AS list, E'\\n{ns}' || $1 || E'\\n' AS item)
             SELECT CASE WHEN position(item IN list) = 0
                         THEN set_config('mainstay_dlock.checked', list || item, true) END
             FROM accepted, checked";
        let sql = |text: &str| statement(&self.namespace, text);
        PostgresFences {
            check: sql(check),
            seen: sql("SELECT fence FROM {ns}dlock_fences WHERE name = $1"),
            keeps_statements: self.database.keeps_statements(),
        }
    }
}

#[async_trait]
impl Fences for PostgresFences {
    type Connection = PgConnection;

    async fn check(
        &self,
        connection: &mut PgConnection,
        name: &str,
        token: FencingToken,
    ) -> Result<(), Error> {
        name::check(name)?;
        let accepted = sqlx::query(self.check.clone())
            .persistent(self.keeps_statements)
            .bind(name)
            .bind(token.as_i64())
            .fetch_optional(&mut *connection)
            .await
            .map_err(driver)?;
        if accepted.is_some() {
            return Ok(());
        }
        let seen: i64 = sqlx::query_scalar(self.seen.clone())
            .persistent(self.keeps_statements)
            .bind(name)
            .fetch_one(connection)
            .await
            .map_err(driver)?;
        Err(Error::Fenced {
            name: name.to_owned(),
            token,
            seen: FencingToken::new(seen),
        })
    }
}
