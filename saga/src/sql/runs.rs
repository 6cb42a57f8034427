//! Runs, in the caller's transaction.

macro_rules! implement_runs {
    ($store:ident, $driver:ty, $connection:ty, $classify:path) => {
        #[async_trait::async_trait]
        impl crate::store::SagaStore for $store {
            type Connection = $connection;
            type Database = Database;

            fn database(&self) -> &Database {
                &self.database
            }

            async fn create(
                &self,
                connection: &mut $connection,
                run: &crate::store::NewRun<'_>,
            ) -> Result<crate::store::Created, crate::Error> {
                use crate::store::Created;
                loop {
                    let created = sqlx::query::<$driver>(self.sql.create.clone())
                        .persistent(self.persists())
                        .bind(run.run.as_str())
                        .bind(run.saga)
                        .bind(run.key)
                        .bind(i64::from(run.version))
                        .bind(run.fingerprint.0)
                        .bind(run.input)
                        .execute(&mut *connection)
                        .await
                        .map_err($classify)?;
                    if created.rows_affected() > 0 {
                        return Ok(Created::New);
                    }
                    let found = self.find(&mut *connection, run.saga, run.key).await?;
                    if let Some(found) = found {
                        return Ok(Created::Exists(found));
                    }
                    // It ended between the two statements.
                }
            }

            async fn create_saved(
                &self,
                connection: &mut $connection,
                run: &crate::store::NewRun<'_>,
                saved: &crate::store::SavedRun<'_>,
            ) -> Result<crate::store::Created, crate::Error> {
                use crate::store::Created;
                loop {
                    let face = saved.face;
                    let created = sqlx::query::<$driver>(self.create_saved.clone())
                        .persistent(self.persists())
                        .bind(run.run.as_str())
                        .bind(run.saga)
                        .bind(run.key)
                        .bind(i64::from(run.version))
                        .bind(run.fingerprint.0)
                        .bind(run.input)
                        .bind(saved.state)
                        .bind(face.status.as_str())
                        .bind(face.is_overdue)
                        .bind(face.step.as_deref())
                        .bind(face.wake_in.map(crate::builder::micros))
                        .bind(face.status.is_ended())
                        .bind(Self::entries(saved.journal)?)
                        .execute(&mut *connection)
                        .await
                        .map_err($classify)?;
                    // Each has an entry in its journal.
                    if created.rows_affected() > 0 {
                        return Ok(Created::New);
                    }
                    let found = self.find(&mut *connection, run.saga, run.key).await?;
                    if let Some(found) = found {
                        return Ok(Created::Exists(found));
                    }
                    // It ended between the two statements.
                }
            }

            async fn find(
                &self,
                connection: &mut $connection,
                saga: &str,
                key: &str,
            ) -> Result<Option<crate::RunId>, crate::Error> {
                let found = sqlx::query_scalar::<$driver, String>(self.sql.find.clone())
                    .persistent(self.persists())
                    .bind(saga)
                    .bind(key)
                    .fetch_optional(connection)
                    .await
                    .map_err($classify)?;
                Ok(found.map(crate::RunId::new))
            }

            async fn lock(
                &self,
                connection: &mut $connection,
                saga: &str,
                runs: &[crate::RunId],
            ) -> Result<Vec<crate::store::StoredRun>, crate::Error> {
                let rows = sqlx::query::<$driver>(self.sql.lock.clone())
                    .persistent(self.persists())
                    .bind(Self::texts(runs.iter().map(crate::RunId::as_str))?)
                    .bind(saga)
                    .fetch_all(connection)
                    .await
                    .map_err($classify)?;
                rows.iter().map(crate::sql::stored_of).collect()
            }

            async fn lock_due(
                &self,
                connection: &mut $connection,
                saga: &str,
                definitions: &[crate::definition::Fingerprint],
                limit: u32,
            ) -> Result<Vec<crate::store::StoredRun>, crate::Error> {
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                let mut due = Vec::new();
                // Older definitions start no runs, so they cannot starve newer ones.
                for definition in definitions.iter().rev() {
                    let left = limit.saturating_sub(due.len());
                    if left == 0 {
                        break;
                    }
                    let rows = sqlx::query::<$driver>(self.sql.lock_due.clone())
                        .persistent(self.persists())
                        .bind(saga)
                        .bind(definition.0)
                        .bind(i64::try_from(left).unwrap_or(i64::MAX))
                        .fetch_all(&mut *connection)
                        .await
                        .map_err($classify)?;
                    for row in &rows {
                        due.push(crate::sql::stored_of(row)?);
                    }
                }
                Ok(due)
            }

            async fn save(
                &self,
                connection: &mut $connection,
                runs: &[crate::store::SavedRun<'_>],
            ) -> Result<(), crate::Error> {
                self.save_runs(connection, runs).await
            }

            async fn postpone(
                &self,
                connection: &mut $connection,
                run: &crate::RunId,
                delay: std::time::Duration,
            ) -> Result<(), crate::Error> {
                sqlx::query::<$driver>(self.sql.postpone.clone())
                    .persistent(self.persists())
                    .bind(run.as_str())
                    .bind(crate::builder::micros(delay))
                    .execute(connection)
                    .await
                    .map_err($classify)?;
                Ok(())
            }

            async fn prune(
                &self,
                connection: &mut $connection,
                saga: &str,
                retention: std::time::Duration,
                limit: u32,
            ) -> Result<u64, crate::Error> {
                let pruned = sqlx::query_scalar::<$driver, String>(self.sql.prune.clone())
                    .persistent(self.persists())
                    .bind(saga)
                    .bind(crate::builder::micros(retention))
                    .bind(i64::from(limit))
                    .fetch_all(&mut *connection)
                    .await
                    .map_err($classify)?;
                if !pruned.is_empty() {
                    let pruned: Vec<_> = pruned.iter().map(crate::RunId::new).collect();
                    sqlx::query::<$driver>(self.sql.prune_journals.clone())
                        .persistent(self.persists())
                        .bind(Self::texts(pruned.iter().map(crate::RunId::as_str))?)
                        .execute(connection)
                        .await
                        .map_err($classify)?;
                }
                Ok(pruned.len() as u64)
            }
        }
    };
}
pub(crate) use implement_runs;
