//! The migration runner.

use super::{Database, classify, sqlx, statement};
use crate::{Error, Migrations, Namespace, Transactions};

impl Database {
    /// Brings a component's schema to this build's newest version; see [`Migrations`]. Where it is up to date already, this
    /// only reads, and waits for no writer.
    ///
    /// # Errors
    /// [`Error::NewerSchema`], [`Error::ChangedMigration`], or what SQLite refused. Nothing is applied then.
    pub async fn migrate(
        &self,
        migrations: &Migrations,
        namespace: &Namespace,
    ) -> Result<(), Error> {
        self.migrate_with(migrations, namespace, |_| ()).await
    }

    /// [`migrate`](Self::migrate), telling `progress` the name of each step after it ran and before it is committed.
    ///
    /// # Errors
    /// As [`migrate`](Self::migrate).
    pub async fn migrate_with(
        &self,
        migrations: &Migrations,
        namespace: &Namespace,
        mut progress: impl FnMut(&'static str) + Send,
    ) -> Result<(), Error> {
        let version_table = format!("{{ns}}{}_schema", migrations.component);
        let create = statement(
            namespace,
            &format!(
                "CREATE TABLE IF NOT EXISTS {version_table} \
                 (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT"
            ),
        );
        let applied = statement(
            namespace,
            &format!("SELECT version, checksum FROM {version_table} ORDER BY version"),
        );
        let record = statement(
            namespace,
            &format!("INSERT INTO {version_table} (version, name, checksum) VALUES ($1, $2, $3)"),
        );

        let mut look = self.reader().begin().await.map_err(classify)?;
        let exists: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1)",
        )
        .bind(&*namespace.render(&version_table))
        .fetch_one(&mut *look)
        .await
        .map_err(classify)?;
        if exists {
            let applied: Vec<(u32, i64)> = sqlx::query_as(applied.clone())
                .fetch_all(&mut *look)
                .await
                .map_err(classify)?;
            if migrations.pending(&applied)?.is_empty() {
                return Ok(());
            }
        }
        drop(look);

        // IMMEDIATE: of ten processes that start at once one migrates, nine wait and find it done.
        let mut tx = self.begin().await?;
        sqlx::query(create)
            .execute(&mut *tx)
            .await
            .map_err(classify)?;
        let applied: Vec<(u32, i64)> = sqlx::query_as(applied)
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
}
