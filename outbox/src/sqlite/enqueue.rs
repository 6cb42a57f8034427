//! Writing rows: a plain INSERT for one message, one statement for a set.

use std::collections::HashSet;

use mainstay_clock::Clock as _;
use mainstay_messaging::{Key, Message, envelope};
use sqlx::{SqlStr, SqliteConnection};

use crate::{
    Enqueued, Entry, Error,
    delay::later,
    sqlite::{Inner, driver, json, row_set::RowSet},
    store::shard_of,
};

impl Inner {
    pub(super) async fn enqueue(
        &self,
        connection: &mut SqliteConnection,
        message: &Message,
    ) -> Result<(), Error> {
        self.settings.check_size(message)?;
        self.notifier.arm();
        sqlx::query(self.statements.enqueue.clone())
            .bind(shard_of(message, self.settings.shards))
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
        connection: &mut SqliteConnection,
        entries: &[Entry<'_>],
    ) -> Result<Vec<Enqueued>, Error> {
        for entry in entries {
            self.settings.check_size(entry.message())?;
        }
        let mut unused = self.use_keys(connection, entries).await?;
        let now = self.origin.clock().now();
        let (mut log, mut deferred) = (RowSet::default(), RowSet::default());
        let results = entries
            .iter()
            .map(|entry| {
                // Removing it from the set adds the first of two entries with the same key.
                if let Some(key) = entry.deduplication_key()
                    && !unused.remove(key.as_str())
                {
                    return Enqueued::Duplicate;
                }
                match entry.delay() {
                    None => self.put(&mut log, entry.message(), None),
                    Some(delay) => {
                        let due = envelope::micros_since_epoch(later(now, delay));
                        self.put(&mut deferred, entry.message(), Some(due));
                    }
                }
                Enqueued::Added
            })
            .collect();
        self.notifier.arm();
        insert(connection, &self.statements.enqueue_set, log).await?;
        insert(connection, &self.statements.defer_set, deferred).await?;
        Ok(results)
    }

    /// Marks the deduplication keys of `entries` as used and returns those that were unused.
    async fn use_keys(
        &self,
        connection: &mut SqliteConnection,
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
            .bind(json(&keys)?)
            .bind(envelope::micros_since_epoch(self.origin.clock().now()))
            .fetch_all(connection)
            .await
            .map_err(driver)?;
        Ok(unused.into_iter().collect())
    }

    fn put(&self, rows: &mut RowSet, message: &Message, due_at: Option<i64>) {
        let mut row = rows.begin();
        row.number(shard_of(message, self.settings.shards))
            .bytes(Some(message.topic.as_str().as_bytes()))
            .bytes(message.key.as_ref().map(|key| key.as_str().as_bytes()))
            .bytes(Some(envelope::write(message).as_bytes()))
            .bytes(message.payload.as_deref());
        if let Some(due_at) = due_at {
            row.number(due_at);
        }
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    statement: &SqlStr,
    rows: RowSet,
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let (rows, blob) = rows.finish();
    sqlx::query(statement.clone())
        .bind(rows)
        .bind(blob)
        .execute(connection)
        .await
        .map_err(driver)?;
    Ok(())
}
