//! What operators see and change.

macro_rules! implement_desk {
    ($store:ident, $driver:ty, $connection:ty, $classify:path) => {
        impl $store {
            /// Runs a statement on one message.
            async fn on_letter(
                &self,
                connection: &mut $connection,
                statement: &sqlx::SqlStr,
                id: crate::DeadLetterId,
            ) -> Result<(), crate::Error> {
                sqlx::query::<$driver>(statement.clone())
                    .persistent(self.persists())
                    .bind(id.0)
                    .execute(connection)
                    .await
                    .map_err($classify)?;
                Ok(())
            }

            async fn read_body(
                &self,
                connection: &mut $connection,
                id: crate::DeadLetterId,
                revision: Option<u32>,
            ) -> Result<Option<mainstay_messaging::broker::Content>, crate::Error> {
                let row =
                    sqlx::query_as::<$driver, (String, Option<Vec<u8>>)>(self.sql.body.clone())
                        .persistent(self.persists())
                        .bind(id.0)
                        .bind(revision.map(|revision| i32::try_from(revision).unwrap_or(i32::MAX)))
                        .fetch_optional(connection)
                        .await
                        .map_err($classify)?;
                let read = |(record, payload): (String, Option<Vec<u8>>)| {
                    let content = crate::record::read(&record, payload.map(Into::into));
                    content.map_err(|source| crate::Error::Damaged { id: id.0, source })
                };
                row.map(read).transpose()
            }

            /// A statement with the nine parameters of a query; planned anew, for what it searches.
            fn matching<'q>(
                statement: &sqlx::SqlStr,
                query: &'q crate::Query,
            ) -> sqlx::query::Query<'q, $driver, <$driver as sqlx::Database>::Arguments> {
                sqlx::query::<$driver>(statement.clone())
                    .persistent(false)
                    .bind(query.consumer.as_deref())
                    .bind(query.topic.as_deref())
                    .bind(query.key.as_deref())
                    .bind(query.kind.as_deref())
                    .bind(query.message_id.as_deref())
                    .bind(query.fingerprint.as_deref())
                    .bind(query.state.map(crate::State::name))
                    .bind(query.since)
                    .bind(query.until)
            }
        }

        #[async_trait::async_trait]
        impl crate::store::DeskStore for $store {
            async fn groups(
                &self,
                consumer: Option<&mainstay_messaging::Group>,
                limit: u32,
                cap: u32,
            ) -> Result<Vec<crate::desk::FailureGroup>, crate::Error> {
                use sqlx::Row as _;
                let rows = sqlx::query::<$driver>(self.sql.groups.clone())
                    .persistent(self.persists())
                    .bind(consumer.map(mainstay_messaging::Group::as_str))
                    .bind(i64::from(cap) + 1)
                    .bind(i64::from(limit))
                    .fetch_all(self.reader())
                    .await
                    .map_err($classify)?;
                let group = |row: &<$driver as sqlx::Database>::Row| -> Result<crate::desk::FailureGroup, crate::Error> {
                    let example = crate::sql::letter_of(row)?;
                    let count: i64 = row.try_get("count").map_err($classify)?;
                    let first: i64 = row.try_get("first_seen").map_err($classify)?;
                    let count = u64::try_from(count).unwrap_or(0);
                    Ok(crate::desk::FailureGroup {
                        fingerprint: example.fingerprint.clone().unwrap_or_default(),
                        count: count.min(u64::from(cap)),
                        more: count > u64::from(cap),
                        first_seen: mainstay_messaging::envelope::time_of(first),
                        last_seen: example.kept_at,
                        example,
                    })
                };
                rows.iter().map(group).collect()
            }

            async fn list(
                &self,
                query: &crate::Query,
                before: Option<crate::DeadLetterId>,
                limit: u32,
            ) -> Result<Vec<crate::DeadLetter>, crate::Error> {
                let rows = Self::matching(&self.sql.list, query)
                    .bind(before.map_or(i64::MAX, |before| before.0))
                    .bind(i64::from(limit))
                    .fetch_all(self.reader())
                    .await
                    .map_err($classify)?;
                rows.iter().map(crate::sql::letter_of).collect()
            }

            async fn count(&self, query: &crate::Query, cap: u32) -> Result<u64, crate::Error> {
                use sqlx::Row as _;
                let row = Self::matching(&self.sql.count, query)
                    .bind(i64::from(cap))
                    .fetch_one(self.reader())
                    .await
                    .map_err($classify)?;
                let count: i64 = row.try_get(0).map_err($classify)?;
                Ok(u64::try_from(count).unwrap_or(0))
            }

            async fn show(
                &self,
                id: crate::DeadLetterId,
            ) -> Result<Option<crate::desk::Details>, crate::Error> {
                // Several statements that see the same: an edit or a prune comes before or after them.
                let mut tx = self
                    .reader()
                    .begin_with(self.sql.begin_snapshot.clone())
                    .await
                    .map_err($classify)?;
                let row = sqlx::query::<$driver>(self.sql.letter.clone())
                    .persistent(self.persists())
                    .bind(id.0)
                    .fetch_optional(&mut *tx)
                    .await
                    .map_err($classify)?;
                let Some(row) = row else { return Ok(None) };
                let letter = crate::sql::letter_of(&row)?;
                let body = self.read_body(&mut tx, id, Some(letter.revision)).await?;
                let content = body.ok_or_else(|| crate::Error::Damaged {
                    id: id.0,
                    source: "its body is missing".into(),
                })?;
                let failures = sqlx::query_as::<$driver, (i64, String, i32, String, i32)>(
                    self.sql.failures.clone(),
                )
                .persistent(self.persists())
                .bind(id.0)
                .fetch_all(&mut *tx)
                .await
                .map_err($classify)?;
                let failure = |(at, kind, attempts, error, revision)| crate::desk::FailureRecord {
                    at: mainstay_messaging::envelope::time_of(at),
                    kind,
                    attempts: u32::try_from(attempts).unwrap_or(0),
                    error,
                    revision: u32::try_from(revision).unwrap_or(0),
                };
                let held = match letter.blocked_key() {
                    None => 0,
                    Some(key) => sqlx::query_scalar::<$driver, i64>(self.sql.held.clone())
                        .persistent(self.persists())
                        .bind(key.consumer.as_str())
                        .bind(key.topic.as_str())
                        .bind(&key.key)
                        .bind(id.0)
                        .fetch_one(&mut *tx)
                        .await
                        .map_err($classify)?,
                };
                Ok(Some(crate::desk::Details {
                    letter,
                    content,
                    failures: failures.into_iter().map(failure).collect(),
                    held: u64::try_from(held).unwrap_or(0),
                }))
            }

            async fn body(
                &self,
                id: crate::DeadLetterId,
                revision: Option<u32>,
            ) -> Result<Option<mainstay_messaging::broker::Content>, crate::Error> {
                let mut connection = self.reader().acquire().await.map_err($classify)?;
                self.read_body(&mut connection, id, revision).await
            }

            async fn lock(
                &self,
                connection: &mut $connection,
                id: crate::DeadLetterId,
            ) -> Result<Option<crate::DeadLetter>, crate::Error> {
                let row = sqlx::query::<$driver>(self.sql.lock.clone())
                    .persistent(self.persists())
                    .bind(id.0)
                    .fetch_optional(connection)
                    .await
                    .map_err($classify)?;
                row.as_ref().map(crate::sql::letter_of).transpose()
            }

            async fn first(
                &self,
                connection: &mut $connection,
                key: &crate::BlockedKey,
            ) -> Result<Option<crate::DeadLetterId>, crate::Error> {
                let id = sqlx::query_scalar::<$driver, Option<i64>>(self.sql.first.clone())
                    .persistent(self.persists())
                    .bind(key.consumer.as_str())
                    .bind(key.topic.as_str())
                    .bind(&key.key)
                    .fetch_one(connection)
                    .await
                    .map_err($classify)?;
                Ok(id.map(crate::DeadLetterId))
            }

            async fn request(
                &self,
                connection: &mut $connection,
                id: crate::DeadLetterId,
                job: Option<i64>,
            ) -> Result<(), crate::Error> {
                sqlx::query::<$driver>(self.sql.request.clone())
                    .persistent(self.persists())
                    .bind(id.0)
                    .bind(job)
                    .execute(connection)
                    .await
                    .map_err($classify)?;
                Ok(())
            }

            async fn resolve(
                &self,
                connection: &mut $connection,
                letter: &crate::DeadLetter,
                state: crate::State,
                was_first: bool,
            ) -> Result<(), crate::Error> {
                let sql = &self.sql;
                let statement = if state.is_kept() {
                    &sql.restore
                } else {
                    &sql.discard
                };
                self.on_letter(connection, statement, letter.id).await?;
                if let Some(key) = letter.blocked_key() {
                    if state.is_kept() {
                        self.on_key(connection, &sql.block, &key).await?;
                    } else if was_first {
                        self.on_key(connection, &sql.drain, &key).await?;
                    }
                }
                Ok(())
            }

            async fn revise(
                &self,
                connection: &mut $connection,
                letter: &crate::DeadLetter,
                content: &mainstay_messaging::broker::Content,
            ) -> Result<(), crate::Error> {
                let revision = i32::try_from(letter.revision + 1).unwrap_or(i32::MAX);
                let id = letter.id.0;
                self.insert_body(connection, id, revision, content).await?;
                sqlx::query::<$driver>(self.sql.revise.clone())
                    .persistent(self.persists())
                    .bind(id)
                    .bind(revision)
                    .bind(content.message().map(|message| message.kind.as_str()))
                    .execute(connection)
                    .await
                    .map_err($classify)?;
                Ok(())
            }

            async fn log(
                &self,
                connection: &mut $connection,
                entry: &crate::desk::AuditRecord<'_>,
            ) -> Result<(), crate::Error> {
                sqlx::query::<$driver>(self.sql.log.clone())
                    .persistent(self.persists())
                    .bind(&entry.signature.operator)
                    .bind(&entry.signature.reason)
                    .bind(entry.act)
                    .bind(entry.letter.map(|letter| letter.0))
                    .bind(entry.job)
                    .bind(entry.detail)
                    .execute(connection)
                    .await
                    .map_err($classify)?;
                Ok(())
            }

            async fn audit(
                &self,
                letter: Option<crate::DeadLetterId>,
                before: Option<i64>,
                limit: u32,
            ) -> Result<Vec<crate::desk::AuditEntry>, crate::Error> {
                type Entry = (
                    i64,
                    i64,
                    String,
                    String,
                    String,
                    Option<i64>,
                    Option<i64>,
                    String,
                );
                let rows = sqlx::query_as::<$driver, Entry>(self.sql.audit.clone())
                    .persistent(false)
                    .bind(letter.map(|letter| letter.0))
                    .bind(before.unwrap_or(i64::MAX))
                    .bind(i64::from(limit))
                    .fetch_all(self.reader())
                    .await
                    .map_err($classify)?;
                let entry = |(id, at, operator, reason, act, letter, job, detail): Entry| {
                    crate::desk::AuditEntry {
                        id,
                        at: mainstay_messaging::envelope::time_of(at),
                        operator,
                        reason,
                        act,
                        letter: letter.map(crate::DeadLetterId),
                        job,
                        detail,
                    }
                };
                Ok(rows.into_iter().map(entry).collect())
            }

            async fn add_job(
                &self,
                connection: &mut $connection,
                job: &crate::desk::NewJob<'_>,
            ) -> Result<i64, crate::Error> {
                self.insert_job(connection, job).await
            }

            async fn jobs(&self, limit: u32) -> Result<Vec<crate::desk::Job>, crate::Error> {
                self.read_jobs(None, limit).await
            }

            async fn running_jobs(&self, limit: u32) -> Result<Vec<i64>, crate::Error> {
                let ids = sqlx::query_scalar::<$driver, i64>(self.sql.running_jobs.clone())
                    .persistent(self.persists())
                    .bind(i64::from(limit))
                    .fetch_all(self.reader())
                    .await;
                Ok(ids.map_err($classify)?)
            }

            async fn job(&self, id: i64) -> Result<Option<crate::desk::Job>, crate::Error> {
                Ok(self.read_jobs(Some(id), 1).await?.pop())
            }

            async fn claim_job(
                &self,
                connection: &mut $connection,
                id: i64,
            ) -> Result<Option<(crate::desk::Job, std::time::SystemTime)>, crate::Error> {
                self.lock_job(connection, id).await
            }

            async fn job_letters(
                &self,
                connection: &mut $connection,
                job: &crate::desk::Job,
                limit: u32,
            ) -> Result<Vec<crate::DeadLetterId>, crate::Error> {
                self.letters_of_job(connection, job, limit).await
            }

            async fn advance_job(
                &self,
                connection: &mut $connection,
                job: &crate::desk::Job,
            ) -> Result<(), crate::Error> {
                self.update_job(connection, job).await
            }
        }
    };
}
pub(crate) use implement_desk;
