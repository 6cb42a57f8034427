//! Replays.

macro_rules! implement_replay {
    ($store:ident, $driver:ty, $connection:ty, $classify:path) => {
        #[async_trait::async_trait]
        impl crate::store::ReplayStore for $store {
            async fn due(
                &self,
                consumer: &mainstay_messaging::Group,
                limit: u32,
            ) -> Result<Vec<crate::store::Due>, crate::Error> {
                use crate::store::Due;
                let key_of = |id, topic: String, key| match mainstay_messaging::Topic::new(topic) {
                    Ok(topic) => Ok(crate::BlockedKey {
                        consumer: consumer.clone(),
                        topic,
                        key,
                    }),
                    Err(error) => Err(crate::Error::Damaged {
                        id,
                        source: error.into(),
                    }),
                };
                let keys = sqlx::query_as::<$driver, (String, String)>(self.sql.due_keys.clone())
                    .persistent(self.persists())
                    .bind(consumer.as_str())
                    .bind(i64::from(limit))
                    .fetch_all(self.reader())
                    .await
                    .map_err($classify)?;
                let letters = sqlx::query_as::<$driver, (i64, String, Option<String>)>(
                    self.sql.due_letters.clone(),
                )
                .persistent(self.persists())
                .bind(consumer.as_str())
                .bind(i64::from(limit))
                .fetch_all(self.reader())
                .await
                .map_err($classify)?;
                let keys = keys
                    .into_iter()
                    .map(|(topic, key)| Ok(Due::Key(key_of(0, topic, key)?)));
                let letters = letters.into_iter().map(|(id, topic, key)| match key {
                    Some(key) => Ok(Due::Key(key_of(id, topic, key)?)),
                    None => Ok(Due::Letter(crate::DeadLetterId(id))),
                });
                keys.chain(letters).collect()
            }

            async fn head(
                &self,
                connection: &mut $connection,
                due: &crate::store::Due,
            ) -> Result<crate::store::Head, crate::Error> {
                use crate::store::{Due, Head};
                let locked = match due {
                    Due::Key(key) => {
                        sqlx::query_scalar::<$driver, i64>(self.sql.lock_head.clone())
                            .persistent(self.persists())
                            .bind(key.consumer.as_str())
                            .bind(key.topic.as_str())
                            .bind(&key.key)
                            .fetch_optional(&mut *connection)
                            .await
                    }
                    Due::Letter(id) => {
                        sqlx::query_scalar::<$driver, i64>(self.sql.lock_letter.clone())
                            .persistent(self.persists())
                            .bind(id.0)
                            .fetch_optional(&mut *connection)
                            .await
                    }
                };
                let Some(id) = locked.map_err($classify)? else {
                    return Ok(Head::Empty);
                };
                // A statement of its own: it sees what was committed while the lock was waited for.
                let row =
                    sqlx::query_as::<$driver, (String, i32, i64, String, Option<Vec<u8>>, i32)>(
                        self.sql.head.clone(),
                    )
                    .persistent(self.persists())
                    .bind(id)
                    .fetch_optional(&mut *connection)
                    .await
                    .map_err($classify)?;
                let Some((topic, partition, offset, record, payload, is_due)) = row else {
                    let source = "its body is missing".into();
                    return Err(crate::Error::Damaged { id, source });
                };
                if is_due == 0 {
                    return Ok(Head::NotDue);
                }
                let place = (topic, partition, offset);
                let delivery = crate::sql::delivered(id, place, &record, payload)?;
                Ok(Head::Ready(crate::DeadLetterId(id), Box::new(delivery)))
            }

            async fn replayed(
                &self,
                connection: &mut $connection,
                due: &crate::store::Due,
                id: crate::DeadLetterId,
            ) -> Result<(), crate::Error> {
                sqlx::query::<$driver>(self.sql.replayed.clone())
                    .persistent(self.persists())
                    .bind(id.0)
                    .execute(&mut *connection)
                    .await
                    .map_err($classify)?;
                if let crate::store::Due::Key(key) = due {
                    self.on_key(connection, &self.sql.drain, key).await?;
                }
                Ok(())
            }

            async fn block_again(
                &self,
                connection: &mut $connection,
                due: &crate::store::Due,
                id: crate::DeadLetterId,
                fault: &crate::store::Fault,
            ) -> Result<bool, crate::Error> {
                let locked = sqlx::query_as::<$driver, (i32, i32)>(self.sql.lock_failed.clone())
                    .persistent(self.persists())
                    .bind(id.0)
                    .fetch_optional(&mut *connection)
                    .await
                    .map_err($classify)?;
                let Some((revision, retries)) = locked else {
                    return Ok(false);
                };
                let delay = fault.delay(u32::try_from(retries).unwrap_or(u32::MAX));
                let delay =
                    delay.map(|delay| i64::try_from(delay.as_micros()).unwrap_or(i64::MAX / 2));
                sqlx::query::<$driver>(self.sql.failed.clone())
                    .persistent(self.persists())
                    .bind(id.0)
                    .bind(fault.kind)
                    .bind(i32::try_from(fault.attempts).unwrap_or(i32::MAX))
                    .bind(i32::from(delay.is_some()))
                    .bind(&fault.error)
                    .bind(&fault.fingerprint)
                    .bind(delay)
                    .execute(&mut *connection)
                    .await
                    .map_err($classify)?;
                self.insert_failure(connection, id.0, revision, fault)
                    .await?;
                if let crate::store::Due::Key(key) = due {
                    self.on_key(connection, &self.sql.block_again, key).await?;
                }
                Ok(true)
            }

            async fn hand_back(
                &self,
                connection: &mut $connection,
                key: &crate::BlockedKey,
            ) -> Result<bool, crate::Error> {
                // Locked first, looked at second: one statement would decide by what it saw before
                // it waited for a message that was being held.
                self.on_key(connection, &self.sql.lock_key, key).await?;
                Ok(self.on_key(connection, &self.sql.hand_back, key).await? > 0)
            }

            async fn prune(
                &self,
                connection: &mut $connection,
                consumer: &mainstay_messaging::Group,
                retention: std::time::Duration,
                limit: u32,
            ) -> Result<u64, crate::Error> {
                let retention = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX / 2);
                let ids = sqlx::query_scalar::<$driver, i64>(self.sql.prune.clone())
                    .persistent(self.persists())
                    .bind(consumer.as_str())
                    .bind(retention)
                    .bind(i64::from(limit))
                    .fetch_all(&mut *connection)
                    .await
                    .map_err($classify)?;
                if !ids.is_empty() {
                    let json = format!("{ids:?}");
                    for statement in [
                        &self.sql.prune_messages,
                        &self.sql.prune_bodies,
                        &self.sql.prune_failures,
                    ] {
                        sqlx::query::<$driver>(statement.clone())
                            .persistent(self.persists())
                            .bind(&json)
                            .execute(&mut *connection)
                            .await
                            .map_err($classify)?;
                    }
                }
                let jobs = sqlx::query::<$driver>(self.sql.prune_jobs.clone())
                    .persistent(self.persists())
                    .bind(retention)
                    .bind(i64::from(limit))
                    .execute(connection)
                    .await
                    .map_err($classify)?;
                Ok(ids.len() as u64 + jobs.rows_affected())
            }

            async fn totals(
                &self,
                consumer: &mainstay_messaging::Group,
                cap: u32,
            ) -> Result<crate::desk::Totals, crate::Error> {
                let (dead, held, blocked) =
                    sqlx::query_as::<$driver, (i64, i64, i64)>(self.sql.totals.clone())
                        .persistent(self.persists())
                        .bind(consumer.as_str())
                        .bind(i64::from(cap))
                        .fetch_one(self.reader())
                        .await
                        .map_err($classify)?;
                let count = |value| u64::try_from(value).unwrap_or(0);
                Ok(crate::desk::Totals {
                    dead: count(dead),
                    held: count(held),
                    blocked_keys: count(blocked),
                })
            }
        }
    };
}
pub(crate) use implement_replay;
