//! The migration runner.

use sqlx::PgConnection;

use super::{Database, Transaction, classify, sqlx, statement};
use crate::{Error, Migrations, Namespace};

impl Database {
    /// Brings a component's schema to this build's newest version; see [`Migrations`].
    ///
    /// Where the schema is up to date, this needs no privilege but SELECT on the version table: the
    /// role of a service need not be allowed to change schemas. If the namespace names a schema
    /// that is missing, it is created.
    ///
    /// # Errors
    /// [`Error::NewerSchema`], [`Error::ChangedMigration`], or what PostgreSQL refused. Nothing is
    /// applied then.
    pub async fn migrate(
        &self,
        migrations: &Migrations,
        namespace: &Namespace,
    ) -> Result<(), Error> {
        self.migrate_with(migrations, namespace, |_| ()).await
    }

    /// As [`migrate`](Self::migrate); calls `progress` with the name of each step after it ran and
    /// before it is committed.
    ///
    /// # Errors
    /// As [`migrate`](Self::migrate).
    pub async fn migrate_with(
        &self,
        migrations: &Migrations,
        namespace: &Namespace,
        mut progress: impl FnMut(&'static str) + Send,
    ) -> Result<(), Error> {
        let versions = Versions::new(migrations, namespace);
        let mut tx = self.begin().await?;
        if versions.exist(&mut tx).await?
            && migrations
                .pending(&versions.applied(&mut tx).await?)?
                .is_empty()
        {
            return Ok(());
        }
        // Of ten processes that start at once, one migrates; nine wait here and find it done.
        versions.lock(&mut tx).await?;
        versions.create(&mut tx, namespace).await?;
        let mut migrated = Vec::new();
        for (version, step) in migrations.pending(&versions.applied(&mut tx).await?)? {
            sqlx::raw_sql(statement(namespace, step.sql))
                .execute(&mut *tx)
                .await
                .map_err(classify)?;
            let record = format!(
                "INSERT INTO {} (version, name, checksum) VALUES ($1, $2, $3)",
                versions.table
            );
            sqlx::query(statement(namespace, &record))
                .persistent(false)
                .bind(i64::from(version))
                .bind(step.name)
                .bind(step.checksum())
                .execute(&mut *tx)
                .await
                .map_err(classify)?;
            progress(step.name);
            migrated.push(step.name);
        }
        self.commit(tx).await?;
        for step in migrated {
            tracing::info!(component = migrations.component, step, "schema migrated");
        }
        Ok(())
    }

    /// Checks that a component's schema has what this build needs, whichever tool made it. Writes
    /// nothing.
    ///
    /// Each probe names columns that the build needs, without effect: `SELECT id, key FROM
    /// {ns}outbox WHERE false`.
    ///
    /// # Errors
    /// [`Error::MissingSchema`], [`Error::NewerSchema`], [`Error::ChangedMigration`].
    pub async fn check_schema(
        &self,
        migrations: &Migrations,
        namespace: &Namespace,
        probes: &[&str],
    ) -> Result<(), Error> {
        let versions = Versions::new(migrations, namespace);
        let mut tx = self.begin().await?;
        if versions.exist(&mut tx).await? {
            migrations.check(&versions.applied(&mut tx).await?)?;
        }
        for probe in probes {
            let answer = sqlx::raw_sql(statement(namespace, probe))
                .execute(&mut *tx)
                .await;
            answer.map_err(|error| match classify(error) {
                Error::Failed(source) => migrations.missing(source),
                error => error,
            })?;
        }
        Ok(())
    }
}

/// A component's version table.
struct Versions {
    /// Its name as it stands in SQL.
    table: String,
}

impl Versions {
    fn new(migrations: &Migrations, namespace: &Namespace) -> Self {
        Self {
            table: namespace.render(&migrations.version_table()).to_string(),
        }
    }

    async fn exist(&self, on: &mut PgConnection) -> Result<bool, Error> {
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .persistent(false)
            .bind(&self.table)
            .fetch_one(on)
            .await
            .map_err(classify)
    }

    async fn applied(&self, on: &mut PgConnection) -> Result<Vec<(u32, i64)>, Error> {
        let sql = format!(
            "SELECT version, checksum FROM {} ORDER BY version",
            self.table
        );
        let rows: Vec<(i64, i64)> = sqlx::query_as(statement(&Namespace::plain(), &sql))
            .persistent(false)
            .fetch_all(on)
            .await
            .map_err(classify)?;
        let version = |version| u32::try_from(version).unwrap_or(u32::MAX);
        Ok(rows
            .into_iter()
            .map(|(applied, checksum)| (version(applied), checksum))
            .collect())
    }

    /// Until the end of the transaction. Another process may migrate for a while, so the wait is
    /// longer than for a row.
    async fn lock(&self, tx: &mut Transaction) -> Result<(), Error> {
        let run = async {
            sqlx::query("SET LOCAL lock_timeout = '5min'")
                .persistent(false)
                .execute(&mut **tx)
                .await?;
            sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('mainstay ' || $1, 0))")
                .persistent(false)
                .bind(&self.table)
                .execute(&mut **tx)
                .await
        };
        run.await.map_err(classify)?;
        Ok(())
    }

    async fn create(&self, tx: &mut Transaction, namespace: &Namespace) -> Result<(), Error> {
        // IF NOT EXISTS needs the privilege to create schemas even if the schema exists.
        if let Some(schema) = namespace.schema() {
            let missing: bool = sqlx::query_scalar("SELECT to_regnamespace($1) IS NULL")
                .persistent(false)
                .bind(schema)
                .fetch_one(&mut **tx)
                .await
                .map_err(classify)?;
            if missing {
                let sql = format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"");
                sqlx::query(statement(namespace, &sql))
                    .persistent(false)
                    .execute(&mut **tx)
                    .await
                    .map_err(classify)?;
            }
        }
        // IF NOT EXISTS, since to_regclass may answer from what this session saw before it waited
        // for the lock.
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {} \
             (version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum BIGINT NOT NULL)",
            self.table
        );
        sqlx::query(statement(namespace, &sql))
            .persistent(false)
            .execute(&mut **tx)
            .await
            .map_err(classify)?;
        Ok(())
    }
}
