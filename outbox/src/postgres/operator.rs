//! The operator's role.

use async_trait::async_trait;
use mainstay_messaging::envelope;
use sqlx::{PgConnection, Row as _, SqlStr, postgres::PgRow};

use super::{PostgresOutbox, commit, driver};
use crate::{
    Error,
    operator::{Act, Deferred, LONGEST, MOST_HELD, Operator, Signature, Which},
    sql_rows::{content, identity},
    store::Content,
};

#[async_trait]
impl Operator for PostgresOutbox {
    async fn deferred(
        &self,
        which: &Which,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Deferred>, Error> {
        let (inner, sql) = (&self.inner, &self.inner.statements);
        let statement = match which {
            Which::Heads => &sql.heads,
            Which::Key { .. } => &sql.of_key,
            Which::All => &sql.all_deferred,
        };
        let mut tx = inner.begin(&sql.begin_fetch).await?;
        let mut query = sqlx::query(statement.clone())
            .persistent(inner.database.keeps_statements())
            .bind(after.unwrap_or(i64::MIN))
            .bind(i64::from(limit.clamp(1, LONGEST)))
            .bind(i64::from(MOST_HELD));
        if let Which::Key { topic, key } = which {
            query = query.bind(topic).bind(key);
        }
        let rows = query.fetch_all(&mut *tx).await.map_err(driver)?;
        rows.iter()
            .map(|row| deferred(row).map_err(driver))
            .collect()
    }

    async fn retry_now(&self, position: i64, by: &Signature) -> Result<(), Error> {
        by.check()?;
        let (inner, sql) = (&self.inner, &self.inner.statements);
        let mut tx = inner.begin(&sql.begin_rows).await?;
        let message_id = self.message_id(&mut tx, position).await?;
        let first: Option<i64> = sqlx::query_scalar(sql.first_of_key.clone())
            .persistent(inner.database.keeps_statements())
            .bind(position)
            .fetch_one(&mut *tx)
            .await
            .map_err(driver)?;
        if let Some(first) = first.filter(|first| *first != position) {
            return Err(Error::HeldBehind { position, first });
        }
        self.act(&mut tx, &sql.due_now, position, by, message_id)
            .await?;
        commit(tx).await?;
        inner.notify();
        Ok(())
    }

    /// The transaction is READ COMMITTED: the trigger that marks the next head must see what other
    /// transactions have committed while it waited.
    async fn discard(&self, position: i64, by: &Signature) -> Result<(), Error> {
        by.check()?;
        let (inner, sql) = (&self.inner, &self.inner.statements);
        let mut tx = inner.begin(&sql.begin_rows).await?;
        let message_id = self.message_id(&mut tx, position).await?;
        self.act(&mut tx, &sql.discard, position, by, message_id)
            .await?;
        commit(tx).await?;
        inner.notify();
        Ok(())
    }

    async fn acts(&self, before: Option<i64>, limit: u32) -> Result<Vec<Act>, Error> {
        let (inner, sql) = (&self.inner, &self.inner.statements);
        let mut tx = inner.begin(&sql.begin_fetch).await?;
        let rows = sqlx::query(sql.acts.clone())
            .persistent(inner.database.keeps_statements())
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::from(limit.clamp(1, LONGEST)))
            .fetch_all(&mut *tx)
            .await
            .map_err(driver)?;
        rows.iter().map(|row| act(row).map_err(driver)).collect()
    }

    async fn discarded(&self, act: i64) -> Result<Option<Content>, Error> {
        let (inner, sql) = (&self.inner, &self.inner.statements);
        let mut tx = inner.begin(&sql.begin_fetch).await?;
        let row = sqlx::query(sql.discarded.clone())
            .persistent(inner.database.keeps_statements())
            .bind(act)
            .fetch_optional(&mut *tx)
            .await
            .map_err(driver)?;
        let read = |row: &PgRow| {
            let (topic, key): (&str, Option<&str>) = (row.try_get(0)?, row.try_get(1)?);
            let (text, payload): (&str, Option<&[u8]>) = (row.try_get(2)?, row.try_get(3)?);
            let key = key.map(str::as_bytes);
            Ok(content(topic.as_bytes(), key, text.as_bytes(), payload).1)
        };
        row.as_ref().map(read).transpose().map_err(driver)
    }
}

impl PostgresOutbox {
    /// The id of the message in a row, which is locked.
    async fn message_id(
        &self,
        connection: &mut PgConnection,
        position: i64,
    ) -> Result<Option<String>, Error> {
        let envelope: Option<String> =
            sqlx::query_scalar(self.inner.statements.envelope_of.clone())
                .persistent(self.inner.database.keeps_statements())
                .bind(position)
                .fetch_optional(connection)
                .await
                .map_err(driver)?;
        let envelope = envelope.ok_or(Error::NotDeferred(position))?;
        Ok(identity(envelope.as_bytes()).map(|(id, _)| id))
    }

    /// Changes or deletes a locked row, and records the act.
    async fn act(
        &self,
        connection: &mut PgConnection,
        statement: &SqlStr,
        position: i64,
        by: &Signature,
        message_id: Option<String>,
    ) -> Result<(), Error> {
        sqlx::query(statement.clone())
            .persistent(self.inner.database.keeps_statements())
            .bind(position)
            .bind(&by.operator)
            .bind(&by.reason)
            .bind(message_id)
            .execute(connection)
            .await
            .map_err(driver)?;
        Ok(())
    }
}

fn deferred(row: &PgRow) -> Result<Deferred, sqlx::Error> {
    let envelope: &str = row.try_get(3)?;
    let (message_id, kind) = identity(envelope.as_bytes()).unzip();
    Ok(Deferred {
        position: row.try_get(0)?,
        topic: row.try_get(1)?,
        key: row.try_get(2)?,
        message_id,
        kind,
        size: row.try_get::<i64, _>(4)?.unsigned_abs(),
        blocked: row.try_get(5)?,
        head: row.try_get(6)?,
        held: row.try_get::<i64, _>(7)?.unsigned_abs(),
        due_at: envelope::time_of(row.try_get(8)?),
        attempts: row.try_get::<i32, _>(9)?.unsigned_abs(),
        refusal: row.try_get(10)?,
    })
}

fn act(row: &PgRow) -> Result<Act, sqlx::Error> {
    Ok(Act {
        id: row.try_get(0)?,
        at: envelope::time_of(row.try_get(1)?),
        operator: row.try_get(2)?,
        reason: row.try_get(3)?,
        act: row.try_get(4)?,
        topic: row.try_get(5)?,
        key: row.try_get(6)?,
        message_id: row.try_get(7)?,
        refusal: row.try_get(8)?,
    })
}
