//! The migration runner.

use super::{Database, classify, sqlx, statement};
use crate::{Error, Migrations, Namespace};

impl Database {
    /// Brings a component's schema to this build's newest version; see [`Migrations`]. Where it is
    /// up to date, this only reads, and does not wait for a writer.
    ///
    /// # Errors
    /// [`Error::NewerSchema`], [`Error::ChangedMigration`], or what SQLite refused. Nothing is
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
        let version_table = migrations.version_table();
        let create = statement(
            namespace,
            &format!(
                "CREATE TABLE IF NOT EXISTS {version_table} \
                 (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT"
            ),
        );
        let record = statement(
            namespace,
            &format!("INSERT INTO {version_table} (version, name, checksum) VALUES ($1, $2, $3)"),
        );

        if let Some(applied) = self.applied(&version_table, namespace).await?
            && migrations.pending(&applied)?.is_empty()
        {
            return Ok(());
        }

        // IMMEDIATE: of ten processes that start at once, one migrates; nine wait and find it done.
        let mut tx = self.begin().await?;
        sqlx::query(create)
            .execute(&mut *tx)
            .await
            .map_err(classify)?;
        let applied: Vec<(u32, i64)> = sqlx::query_as(applied_steps(&version_table, namespace))
            .fetch_all(&mut *tx)
            .await
            .map_err(classify)?;
        let mut migrated = Vec::new();
        for (version, step) in migrations.pending(&applied)? {
            sqlx::raw_sql(statement(namespace, step.sql))
                .execute(&mut *tx)
                .await
                .map_err(classify)?;
            sqlx::query(record.clone())
                .bind(version)
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
        let version_table = migrations.version_table();
        if let Some(applied) = self.applied(&version_table, namespace).await? {
            migrations.check(&applied)?;
        }
        for probe in probes {
            let answer = sqlx::raw_sql(statement(namespace, probe))
                .execute(self.reader())
                .await;
            answer.map_err(|error| match classify(error) {
                Error::Failed(source) => migrations.missing(source),
                error => error,
            })?;
        }
        Ok(())
    }

    /// Versions and checksums of the steps applied; none without a version table.
    async fn applied(
        &self,
        version_table: &str,
        namespace: &Namespace,
    ) -> Result<Option<Vec<(u32, i64)>>, Error> {
        let mut look = self.reader().begin().await.map_err(classify)?;
        let exists: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1)",
        )
        .bind(&*namespace.render(version_table))
        .fetch_one(&mut *look)
        .await
        .map_err(classify)?;
        if !exists {
            return Ok(None);
        }
        let applied = sqlx::query_as(applied_steps(version_table, namespace));
        applied
            .fetch_all(&mut *look)
            .await
            .map(Some)
            .map_err(classify)
    }
}

fn applied_steps(version_table: &str, namespace: &Namespace) -> sqlx::SqlStr {
    let sql = format!("SELECT version, checksum FROM {version_table} ORDER BY version");
    statement(namespace, &sql)
}
