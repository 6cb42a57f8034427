//! The participant's side.

macro_rules! implement_participant {
    ($store:ident, $driver:ty, $connection:ty, $classify:path) => {
        impl $store {
            async fn on_step(
                &self,
                connection: &mut $connection,
                statement: &sqlx::SqlStr,
                step: &str,
            ) -> Result<(i32, i32), crate::Error> {
                let counts = sqlx::query_as::<$driver, (i32, i32)>(statement.clone())
                    .persistent(self.persists())
                    .bind(step)
                    .fetch_one(connection)
                    .await;
                Ok(counts.map_err($classify)?)
            }
        }

        #[async_trait::async_trait]
        impl crate::store::ParticipantStore for $store {
            type Connection = $connection;

            async fn begin(
                &self,
                connection: &mut $connection,
                step: &str,
            ) -> Result<crate::store::Begun, crate::Error> {
                let counts = self.on_step(connection, &self.sql.begin, step).await?;
                Ok(crate::sql::begun(counts))
            }

            async fn begin_batch(
                &self,
                connection: &mut $connection,
                steps: &[&str],
            ) -> Result<Vec<crate::store::Begun>, crate::Error> {
                let rows =
                    sqlx::query_as::<$driver, (String, i32, i32)>(self.sql.begin_batch.clone())
                        .persistent(self.persists())
                        .bind(Self::texts(steps.iter().copied())?)
                        .fetch_all(connection)
                        .await
                        .map_err($classify)?;
                Ok(crate::sql::begun_of(steps, &rows))
            }

            async fn undo(
                &self,
                connection: &mut $connection,
                step: &str,
            ) -> Result<crate::store::Unbegun, crate::Error> {
                let counts = self.on_step(connection, &self.sql.undo, step).await?;
                Ok(crate::sql::unbegun(counts))
            }

            async fn prune_steps(
                &self,
                connection: &mut $connection,
                retention: std::time::Duration,
                limit: u32,
            ) -> Result<u64, crate::Error> {
                let pruned = sqlx::query::<$driver>(self.sql.prune_steps.clone())
                    .persistent(self.persists())
                    .bind(crate::builder::micros(retention))
                    .bind(i64::from(limit))
                    .execute(connection)
                    .await
                    .map_err($classify)?;
                Ok(pruned.rows_affected())
            }
        }
    };
}
pub(crate) use implement_participant;
