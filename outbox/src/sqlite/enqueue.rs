//! Writing rows: a plain INSERT for one message, one statement for a set.

use std::collections::HashSet;

use mainstay_messaging::{Key, Message, envelope};
use sqlx::{SqlStr, SqliteConnection};

use crate::{
    Enqueued, Entry, Error,
    due::later,
    shard_of,
    sqlite::{Inner, driver, json, row_set::RowSet},
};

impl Inner {
    pub(super) async fn enqueue(
        &self,
        connection: &mut SqliteConnection,
        message: &Message,
    ) -> Result<(), Error> {
        self.check_size(message)?;
        self.notifier.arm();
        sqlx::query(self.statements.enqueue.clone())
            .bind(shard_of(message, self.options.shards))
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
            self.check_size(entry.message())?;
        }
        let mut unused = self.use_keys(connection, entries).await?;
        let now = self.options.clock.now();
        let (mut log, mut held) = (RowSet::default(), RowSet::default());
        let answers = entries
            .iter()
            .map(|entry| {
                // Taken out of the set: of two entries with one key, the first is added.
                if let Some(key) = entry.deduplication_key()
                    && !unused.remove(key.as_str())
                {
                    return Enqueued::AlreadyThere;
                }
                match entry.delay() {
                    None => self.put(&mut log, entry.message(), None),
                    Some(delay) => {
                        let due = envelope::micros_since_epoch(later(now, delay));
                        self.put(&mut held, entry.message(), Some(due));
                    }
                }
                Enqueued::Added
            })
            .collect();
        self.notifier.arm();
        insert(connection, &self.statements.enqueue_set, log).await?;
        insert(connection, &self.statements.hold_set, held).await?;
        Ok(answers)
    }

    /// Uses up the deduplication keys of `entries`; answers with those that were not used before.
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
            .bind(envelope::micros_since_epoch(self.options.clock.now()))
            .fetch_all(connection)
            .await
            .map_err(driver)?;
        Ok(unused.into_iter().collect())
    }

    fn put(&self, rows: &mut RowSet, message: &Message, due_at: Option<i64>) {
        let mut row = rows.begin();
        row.number(shard_of(message, self.options.shards))
            .bytes(Some(message.topic.as_str().as_bytes()))
            .bytes(message.key.as_ref().map(|key| key.as_str().as_bytes()))
            .bytes(Some(envelope::write(message).as_bytes()))
            .bytes(message.payload.as_deref());
        if let Some(due_at) = due_at {
            row.number(due_at);
        }
    }

    fn check_size(&self, message: &Message) -> Result<(), Error> {
        let (size, limit) = (message.size(), self.options.max_message_size);
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        Ok(())
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
