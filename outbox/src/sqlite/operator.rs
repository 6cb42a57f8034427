//! The operator's role.

use async_trait::async_trait;
use mainstay_clock::Clock as _;
use mainstay_messaging::envelope;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{SqliteOutbox, commit, driver};
use crate::{
    Error,
    operator::{Act, Deferred, LONGEST, MOST_HELD, Operator, Signature, Which},
    sql_rows::{content, identity},
    store::Content,
};

#[async_trait]
impl Operator for SqliteOutbox {
    async fn deferred(
        &self,
        which: &Which,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Deferred>, Error> {
        let sql = &self.inner.statements;
        let statement = match which {
            Which::Heads => &sql.heads,
            Which::Key { .. } => &sql.of_key,
            Which::All => &sql.all_deferred,
        };
        let mut query = sqlx::query(statement.clone())
            .bind(after.unwrap_or(i64::MIN))
            .bind(limit.clamp(1, LONGEST))
            .bind(MOST_HELD);
        if let Which::Key { topic, key } = which {
            query = query.bind(topic).bind(key);
        }
        let rows = query.fetch_all(self.inner.database.reader()).await;
        let rows = rows.map_err(driver)?;
        rows.iter()
            .map(|row| deferred(row).map_err(driver))
            .collect()
    }

    async fn retry_now(&self, position: i64, by: &Signature) -> Result<(), Error> {
        by.check()?;
        let (inner, sql) = (&self.inner, &self.inner.statements);
        let mut tx = inner.database.begin().await?;
        let first: Option<(Option<i64>,)> = sqlx::query_as(sql.first_of_key.clone())
            .bind(position)
            .fetch_optional(&mut *tx)
            .await
            .map_err(driver)?;
        let (first,) = first.ok_or(Error::NotDeferred(position))?;
        if let Some(first) = first.filter(|first| *first != position) {
            return Err(Error::HeldBehind { position, first });
        }
        let now = envelope::micros_since_epoch(inner.origin.clock().now());
        sqlx::query(sql.due_now.clone())
            .bind(position)
            .bind(now)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        self.log(&mut tx, position, "retry", by, now).await?;
        commit(tx).await?;
        inner.notifier.notify();
        Ok(())
    }

    async fn discard(&self, position: i64, by: &Signature) -> Result<(), Error> {
        by.check()?;
        let inner = &self.inner;
        let mut tx = inner.database.begin().await?;
        let now = envelope::micros_since_epoch(inner.origin.clock().now());
        self.log(&mut tx, position, "discard", by, now).await?;
        // The trigger marks the next one of its key.
        sqlx::query(inner.statements.discard.clone())
            .bind(position)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        commit(tx).await?;
        inner.notifier.notify();
        Ok(())
    }

    async fn acts(&self, before: Option<i64>, limit: u32) -> Result<Vec<Act>, Error> {
        let rows = sqlx::query(self.inner.statements.acts.clone())
            .bind(before.unwrap_or(i64::MAX))
            .bind(limit.clamp(1, LONGEST))
            .fetch_all(self.inner.database.reader())
            .await
            .map_err(driver)?;
        rows.iter().map(|row| act(row).map_err(driver)).collect()
    }

    async fn discarded(&self, act: i64) -> Result<Option<Content>, Error> {
        let row = sqlx::query(self.inner.statements.discarded.clone())
            .bind(act)
            .fetch_optional(self.inner.database.reader())
            .await
            .map_err(driver)?;
        let read = |row: &SqliteRow| {
            let (topic, key): (&[u8], Option<&[u8]>) = (row.try_get(0)?, row.try_get(1)?);
            let (text, payload): (&[u8], Option<&[u8]>) = (row.try_get(2)?, row.try_get(3)?);
            Ok(content(topic, key, text, payload).1)
        };
        row.as_ref().map(read).transpose().map_err(driver)
    }
}

impl SqliteOutbox {
    /// Records an act on a row, and keeps its message if it is discarded.
    async fn log(
        &self,
        connection: &mut sqlx::SqliteConnection,
        position: i64,
        act: &str,
        by: &Signature,
        now: i64,
    ) -> Result<(), Error> {
        let sql = &self.inner.statements;
        let envelope: Option<(Vec<u8>,)> = sqlx::query_as(sql.envelope_of.clone())
            .bind(position)
            .fetch_optional(&mut *connection)
            .await
            .map_err(driver)?;
        let (envelope,) = envelope.ok_or(Error::NotDeferred(position))?;
        let message_id = identity(&envelope).map(|(id, _)| id);
        sqlx::query(sql.log_act.clone())
            .bind(position)
            .bind(now)
            .bind(&by.operator)
            .bind(&by.reason)
            .bind(act)
            .bind(message_id)
            .execute(connection)
            .await
            .map_err(driver)?;
        Ok(())
    }
}

/// As bytes: SQLite keeps any bytes as TEXT, and one damaged row must not fail the list.
fn deferred(row: &SqliteRow) -> Result<Deferred, sqlx::Error> {
    let (topic, key): (&[u8], Option<&[u8]>) = (row.try_get(1)?, row.try_get(2)?);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (message_id, kind) = identity(row.try_get(3)?).unzip();
    Ok(Deferred {
        position: row.try_get(0)?,
        topic: text(topic),
        key: key.map(text),
        message_id,
        kind,
        size: row.try_get::<i64, _>(4)?.unsigned_abs(),
        blocked: row.try_get(5)?,
        head: row.try_get(6)?,
        held: row.try_get::<i64, _>(7)?.unsigned_abs(),
        due_at: envelope::time_of(row.try_get(8)?),
        attempts: row.try_get(9)?,
        refusal: row.try_get(10)?,
    })
}

fn act(row: &SqliteRow) -> Result<Act, sqlx::Error> {
    let (topic, key): (&[u8], Option<&[u8]>) = (row.try_get(5)?, row.try_get(6)?);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Act {
        id: row.try_get(0)?,
        at: envelope::time_of(row.try_get(1)?),
        operator: row.try_get(2)?,
        reason: row.try_get(3)?,
        act: row.try_get(4)?,
        topic: text(topic),
        key: key.map(text),
        message_id: row.try_get(7)?,
        refusal: row.try_get(8)?,
    })
}
