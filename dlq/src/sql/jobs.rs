//! Acts on many messages.

macro_rules! implement_jobs {
    ($store:ident, $driver:ty, $connection:ty, $classify:path) => {
        impl $store {
            async fn insert_job(
                &self,
                connection: &mut $connection,
                job: &crate::desk::NewJob<'_>,
            ) -> Result<i64, crate::Error> {
                let act = match job.act {
                    crate::desk::BulkAct::Replay => "replay",
                    crate::desk::BulkAct::Discard => "discard",
                };
                let query = serde_json::to_string(job.query)
                    .map_err(|error| mainstay_database::Error::Failed(error.into()))?;
                let id = sqlx::query_scalar::<$driver, i64>(self.sql.add_job.clone())
                    .persistent(self.persists())
                    .bind(act)
                    .bind(query)
                    .bind(job.rate)
                    .bind(&job.signature.operator)
                    .bind(&job.signature.reason)
                    .fetch_one(connection)
                    .await;
                Ok(id.map_err($classify)?)
            }

            async fn read_jobs(
                &self,
                id: Option<i64>,
                limit: u32,
            ) -> Result<Vec<crate::desk::Job>, crate::Error> {
                let rows = sqlx::query::<$driver>(self.sql.jobs.clone())
                    .persistent(false)
                    .bind(id)
                    .bind(i64::from(limit))
                    .fetch_all(self.reader())
                    .await
                    .map_err($classify)?;
                rows.iter().map(crate::sql::job_of).collect()
            }

            async fn lock_job(
                &self,
                connection: &mut $connection,
                id: i64,
            ) -> Result<Option<(crate::desk::Job, std::time::SystemTime)>, crate::Error> {
                use sqlx::Row as _;
                let row = sqlx::query::<$driver>(self.sql.claim_job.clone())
                    .persistent(self.persists())
                    .bind(id)
                    .fetch_optional(connection)
                    .await
                    .map_err($classify)?;
                let Some(row) = row else { return Ok(None) };
                let now: i64 = row.try_get("now").map_err($classify)?;
                let job = crate::sql::job_of(&row)?;
                Ok(Some((job, mainstay_messaging::envelope::time_of(now))))
            }

            async fn letters_of_job(
                &self,
                connection: &mut $connection,
                job: &crate::desk::Job,
                limit: u32,
            ) -> Result<Vec<crate::DeadLetterId>, crate::Error> {
                use sqlx::Row as _;
                let rows = Self::matching(&self.sql.job_letters, &job.query)
                    .bind(job.cursor.0)
                    .bind(job.last.0)
                    .bind(i64::from(limit))
                    .fetch_all(connection)
                    .await
                    .map_err($classify)?;
                let id = |row: &<$driver as sqlx::Database>::Row| {
                    let id = row.try_get("id").map(crate::DeadLetterId);
                    id.map_err(|error| $classify(error).into())
                };
                rows.iter().map(id).collect()
            }

            async fn update_job(
                &self,
                connection: &mut $connection,
                job: &crate::desk::Job,
            ) -> Result<(), crate::Error> {
                let state = match job.state {
                    crate::desk::JobState::Running => "running",
                    crate::desk::JobState::Finished => "finished",
                    crate::desk::JobState::Cancelled => "cancelled",
                };
                sqlx::query::<$driver>(self.sql.advance_job.clone())
                    .persistent(self.persists())
                    .bind(job.id)
                    .bind(job.cursor.0)
                    .bind(i64::try_from(job.done).unwrap_or(i64::MAX))
                    .bind(state)
                    .execute(connection)
                    .await
                    .map_err($classify)?;
                Ok(())
            }
        }
    };
}
pub(crate) use implement_jobs;
