//! Writing rows: a plain INSERT for one message, one statement for a set.

use std::collections::HashSet;

use mainstay_messaging::{Key, Message, envelope};
use sqlx::{PgConnection, SqlStr};

use crate::{
    Enqueued, Entry, Error,
    postgres::{Inner, driver, micros},
    store::shard_of,
};

/// Rows to bind to one statement, column by column.
#[derive(Default)]
struct Columns<'a> {
    shards: Vec<i32>,
    topics: Vec<&'a str>,
    keys: Vec<Option<&'a str>>,
    envelopes: Vec<String>,
    payloads: Vec<Option<&'a [u8]>>,
    delays: Vec<i64>,
}

impl Inner {
    pub(super) async fn enqueue(
        &self,
        connection: &mut PgConnection,
        message: &Message,
    ) -> Result<(), Error> {
        self.settings.check_size(message)?;
        self.notifier.arm();
        sqlx::query(self.statements.enqueue.clone())
            .persistent(self.database.keeps_statements())
            .bind(i32::from(shard_of(message, self.settings.shards)))
            .bind(message.topic.as_str())
            .bind(message.key.as_ref().map(Key::as_str))
            .bind(envelope::write(message))
            .bind(message.payload.as_deref())
            .execute(connection)
            .await
            .map_err(driver)?;
        Ok(())
    }

    pub(super) async fn enqueue_batch(
        &self,
        connection: &mut PgConnection,
        entries: &[Entry<'_>],
    ) -> Result<Vec<Enqueued>, Error> {
        // A set costs the server three times the statement of one message.
        if let [entry] = entries
            && entry.deduplication_key().is_none()
            && entry.delay().is_none()
        {
            self.enqueue(connection, entry.message()).await?;
            return Ok(vec![Enqueued::Added]);
        }
        for entry in entries {
            self.settings.check_size(entry.message())?;
        }
        let mut unused = self.use_keys(connection, entries).await?;
        let (mut log, mut deferred) = (Columns::default(), Columns::default());
        let results = entries
            .iter()
            .map(|entry| {
                // Removing it from the set adds the first of two entries with the same key.
                if let Some(key) = entry.deduplication_key()
                    && !unused.remove(key.as_str())
                {
                    return Enqueued::Duplicate;
                }
                let shard = shard_of(entry.message(), self.settings.shards);
                match entry.delay() {
                    None => log.put(shard, entry.message()),
                    Some(delay) => {
                        deferred.put(shard, entry.message());
                        deferred.delays.push(micros(delay));
                    }
                }
                Enqueued::Added
            })
            .collect();
        self.notifier.arm();
        let keep = self.database.keeps_statements();
        log.insert(connection, &self.statements.enqueue_set, keep)
            .await?;
        deferred
            .insert(connection, &self.statements.defer_set, keep)
            .await?;
        Ok(results)
    }

    /// Marks the deduplication keys of `entries` as used and returns those that were unused.
    async fn use_keys(
        &self,
        connection: &mut PgConnection,
        entries: &[Entry<'_>],
    ) -> Result<HashSet<String>, Error> {
        let keys: Vec<&str> = entries
            .iter()
            .filter_map(|entry| Some(entry.deduplication_key()?.as_str()))
            .collect();
        if keys.is_empty() {
            return Ok(HashSet::new());
        }
        let unused = sqlx::query_scalar(self.statements.use_keys.clone())
            .persistent(self.database.keeps_statements())
            .bind(keys)
            .fetch_all(connection)
            .await
            .map_err(driver)?;
        Ok(unused.into_iter().collect())
    }
}

impl<'a> Columns<'a> {
    fn put(&mut self, shard: u16, message: &'a Message) {
        self.shards.push(shard.into());
        self.topics.push(message.topic.as_str());
        self.keys.push(message.key.as_ref().map(Key::as_str));
        self.envelopes.push(envelope::write(message));
        self.payloads.push(message.payload.as_deref());
    }

    async fn insert(
        self,
        connection: &mut PgConnection,
        statement: &SqlStr,
        keep: bool,
    ) -> Result<(), Error> {
        if self.shards.is_empty() {
            return Ok(());
        }
        let mut query = sqlx::query(statement.clone())
            .persistent(keep)
            .bind(self.shards)
            .bind(self.topics)
            .bind(self.keys)
            .bind(self.envelopes)
            .bind(self.payloads);
        if !self.delays.is_empty() {
            query = query.bind(self.delays);
        }
        query.execute(connection).await.map_err(driver)?;
        Ok(())
    }
}
