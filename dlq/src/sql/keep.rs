//! Keeping dead letters, and the messages behind them.

macro_rules! implement_keep {
    ($store:ident, $driver:ty, $connection:ty, $classify:path) => {
        impl $store {
            /// What a batch meets.
            async fn look(
                &self,
                connection: &mut $connection,
                consumer: &mainstay_messaging::Group,
                fresh: &[&mainstay_messaging::Delivery],
            ) -> Result<crate::sql::Look, crate::Error> {
                if let [delivery] = fresh {
                    let identity = mainstay_inbox::store::Identity::of(delivery);
                    let key = crate::BlockedKey::of(consumer, delivery).map(|key| key.key);
                    let row = sqlx::query_as::<$driver, (String, i32, i32, i32)>(
                        self.sql.look_at_one.clone(),
                    )
                    .persistent(self.persists())
                    .bind(consumer.as_str())
                    .bind(delivery.position.partition.topic.as_str())
                    .bind(key)
                    .bind(identity.source)
                    .bind(&*identity.id)
                    .fetch_one(connection)
                    .await
                    .map_err($classify)?;
                    return crate::sql::Look::of_one(row, consumer, delivery);
                }
                let rows = sqlx::query_as::<$driver, (i32, String, String)>(self.sql.look.clone())
                    .persistent(self.persists())
                    .bind(consumer.as_str())
                    .bind(crate::sql::names(consumer, fresh)?)
                    .fetch_all(connection)
                    .await
                    .map_err($classify)?;
                crate::sql::Look::of(rows)
            }

            /// Messages behind a dead letter of their key, with their bodies: two statements,
            /// however many they are.
            async fn insert_held(
                &self,
                connection: &mut $connection,
                consumer: &mainstay_messaging::Group,
                held: &[&mainstay_messaging::Delivery],
            ) -> Result<(), crate::Error> {
                if held.is_empty() {
                    return Ok(());
                }
                let rows =
                    sqlx::query_as::<$driver, (i64, String, i32, i64)>(self.sql.hold_set.clone())
                        .persistent(self.persists())
                        .bind(consumer.as_str())
                        .bind(crate::sql::held_rows(consumer, held)?)
                        .fetch_all(&mut *connection)
                        .await
                        .map_err($classify)?;
                sqlx::query::<$driver>(self.sql.hold_bodies.clone())
                    .persistent(self.persists())
                    .bind(crate::sql::held_bodies(rows, held)?)
                    .execute(connection)
                    .await
                    .map_err($classify)?;
                Ok(())
            }

            /// A dead letter with its body.
            async fn insert(
                &self,
                connection: &mut $connection,
                consumer: &mainstay_messaging::Group,
                delivery: &mainstay_messaging::Delivery,
                fault: &crate::store::Fault,
            ) -> Result<i64, crate::Error> {
                let identity = mainstay_inbox::store::Identity::of(delivery);
                let key = crate::BlockedKey::of(consumer, delivery).map(|key| key.key);
                let kind = delivery
                    .content
                    .message()
                    .map(|message| message.kind.as_str());
                let delay = fault.delay(0);
                let delay =
                    delay.map(|delay| i64::try_from(delay.as_micros()).unwrap_or(i64::MAX / 2));
                let id: i64 = sqlx::query_scalar::<$driver, i64>(self.sql.insert.clone())
                    .persistent(self.persists())
                    .bind(consumer.as_str())
                    .bind(delivery.position.partition.topic.as_str())
                    .bind(delivery.position.partition.number)
                    .bind(delivery.position.offset)
                    .bind(identity.source)
                    .bind(&*identity.id)
                    .bind(key)
                    .bind(kind)
                    .bind(fault.kind)
                    .bind(i32::try_from(fault.attempts).unwrap_or(i32::MAX))
                    .bind(i32::from(delay.is_some()))
                    .bind(&fault.error)
                    .bind(&fault.fingerprint)
                    .bind(delay)
                    .fetch_one(&mut *connection)
                    .await
                    .map_err($classify)?;
                self.insert_body(connection, id, 0, &delivery.content)
                    .await?;
                Ok(id)
            }

            async fn insert_body(
                &self,
                connection: &mut $connection,
                id: i64,
                revision: i32,
                content: &mainstay_messaging::broker::Content,
            ) -> Result<(), crate::Error> {
                sqlx::query::<$driver>(self.sql.insert_body.clone())
                    .persistent(self.persists())
                    .bind(id)
                    .bind(revision)
                    .bind(crate::record::write(content))
                    .bind(crate::record::payload(content).map(|payload| &payload[..]))
                    .execute(connection)
                    .await
                    .map_err($classify)?;
                Ok(())
            }

            async fn insert_failure(
                &self,
                connection: &mut $connection,
                id: i64,
                revision: i32,
                fault: &crate::store::Fault,
            ) -> Result<(), crate::Error> {
                sqlx::query::<$driver>(self.sql.insert_failure.clone())
                    .persistent(self.persists())
                    .bind(id)
                    .bind(fault.kind)
                    .bind(i32::try_from(fault.attempts).unwrap_or(i32::MAX))
                    .bind(&fault.error)
                    .bind(revision)
                    .execute(connection)
                    .await
                    .map_err($classify)?;
                Ok(())
            }

            /// Runs a statement on the row of a blocked key.
            async fn on_key(
                &self,
                connection: &mut $connection,
                statement: &sqlx::SqlStr,
                key: &crate::BlockedKey,
            ) -> Result<u64, crate::Error> {
                let done = sqlx::query::<$driver>(statement.clone())
                    .persistent(self.persists())
                    .bind(key.consumer.as_str())
                    .bind(key.topic.as_str())
                    .bind(&key.key)
                    .execute(connection)
                    .await
                    .map_err($classify)?;
                Ok(done.rows_affected())
            }
        }

        #[async_trait::async_trait]
        impl crate::store::DeadLetterStore for $store {
            type Connection = $connection;

            async fn hold(
                &self,
                connection: &mut $connection,
                consumer: &mainstay_messaging::Group,
                fresh: &[&mainstay_messaging::Delivery],
            ) -> Result<Vec<usize>, crate::Error> {
                // One round trip: the look itself where something was kept the last time, and the
                // cheaper question first where nothing was.
                if !self.kept.is_likely_for(consumer) {
                    let (is_any, level) =
                        sqlx::query_as::<$driver, (i32, String)>(self.sql.is_any_kept.clone())
                            .persistent(self.persists())
                            .bind(consumer.as_str())
                            .fetch_one(&mut *connection)
                            .await
                            .map_err($classify)?;
                    crate::sql::check_isolation(level)?;
                    if is_any == 0 {
                        return Ok(Vec::new());
                    }
                }
                let crate::sql::Look {
                    is_any_kept,
                    blocked,
                    known,
                } = self.look(connection, consumer, fresh).await?;
                self.kept.note(consumer, is_any_kept);
                let (mut held, mut waiting) = (Vec::new(), Vec::new());
                for (place, delivery) in fresh.iter().copied().enumerate() {
                    let identity = mainstay_inbox::store::Identity::of(delivery);
                    if known.contains(&(identity.source.to_owned(), identity.id.into_owned())) {
                        held.push(place);
                    } else if let Some(key) = crate::BlockedKey::of(consumer, delivery)
                        && blocked.contains(&(key.topic.to_string(), key.key))
                    {
                        held.push(place);
                        waiting.push(delivery);
                    }
                }
                self.insert_held(connection, consumer, &waiting).await?;
                Ok(held)
            }

            async fn keep(
                &self,
                connection: &mut $connection,
                consumer: &mainstay_messaging::Group,
                delivery: &mainstay_messaging::Delivery,
                fault: &crate::store::Fault,
            ) -> Result<(), crate::Error> {
                let id = self.insert(connection, consumer, delivery, fault).await?;
                self.insert_failure(connection, id, 0, fault).await?;
                if let Some(key) = crate::BlockedKey::of(consumer, delivery) {
                    self.on_key(connection, &self.sql.block, &key).await?;
                }
                Ok(())
            }
        }
    };
}
pub(crate) use implement_keep;
