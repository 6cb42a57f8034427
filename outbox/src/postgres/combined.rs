//! A business write and its message in one statement: one round trip instead of two.

use std::sync::Arc;

use mainstay_messaging::{Key, Message, envelope};
use sqlx::{AssertSqlSafe, Postgres, SqlSafeStr, SqlStr, postgres::PgArguments, query::Query};

use crate::{
    Error,
    postgres::{Inner, PostgresOutbox},
    store::shard_of,
};

/// A statement that performs a business write and enqueues a message about it; made by
/// [`PostgresOutbox::enqueue_with`].
///
/// It draws the position of the message after the business write has locked its rows, because the
/// message is selected from the result of that write. With plain VALUES, PostgreSQL would draw the
/// position before it waits for the lock. The messages of two transactions on one row could then swap.
#[derive(Clone, Debug)]
pub struct CombinedStatement {
    sql: SqlStr,
    inner: Arc<Inner>,
}

impl PostgresOutbox {
    /// Combines a business write with the enqueueing of a message. The write is an INSERT, UPDATE or
    /// DELETE with RETURNING.
    ///
    /// Its parameters are `$1` to `$n`. Those of the message follow the highest number in its text, so a
    /// `$7` in a string literal counts as a parameter. Make the statement once and run it often.
    ///
    /// ```no_run
    /// # use mainstay_outbox::{Event, Outbox, PostgresOutbox, sqlx};
    /// # async fn f(outbox: &PostgresOutbox, pool: &sqlx::PgPool, order_paid: impl Event) -> Result<(), Box<dyn std::error::Error>> {
    /// let pay = outbox.enqueue_with("UPDATE orders SET paid = true WHERE id = $1 AND NOT paid RETURNING total");
    ///
    /// let message = outbox.message(&order_paid)?;
    /// let paid = pay.query(&message, |business| business.bind(17_i64))?.fetch_optional(pool).await?;
    /// if paid.is_some() {
    ///     outbox.notify();
    /// }
    /// # Ok(()) }
    /// ```
    pub fn enqueue_with(&self, business: impl SqlSafeStr) -> CombinedStatement {
        let business = business.into_sql_str();
        let text = business.as_str().trim().trim_end_matches(';');
        let [shard, topic, key, envelope, payload] =
            [1, 2, 3, 4, 5].map(|n| highest_parameter(text) + n);
        let outbox = self.inner.settings.namespace.render("{ns}outbox");
        // The count is known once the last row is written and locked, and makes one message of any
        // number of rows.
        let sql = format!(
            "WITH business AS (\n{text}\n), enqueued AS (
               INSERT INTO {outbox} (shard, topic, key, envelope, payload)
               SELECT ${shard}::int4, ${topic}::text, ${key}::text, ${envelope}::text, ${payload}::bytea
               FROM (SELECT count(*) AS written FROM business) b WHERE b.written > 0)
             SELECT * FROM business"
        );
        CombinedStatement {
            // Safe: the caller's text is, and the rest is program text, a checked namespace and numbers.
            sql: AssertSqlSafe(sql).into_sql_str(),
            inner: Arc::clone(&self.inner),
        }
    }
}

impl CombinedStatement {
    /// The statement with all parameters: `bind` binds those of the business write, in their order.
    ///
    /// It returns the rows of the business write's RETURNING. If that writes no row, no message is
    /// enqueued. Run it in a transaction, or by itself, which makes it a transaction of its own; then
    /// call [`notify`](crate::Outbox::notify) unless you commit through the `Database`.
    ///
    /// # Errors
    /// [`Error::TooLarge`], as [`enqueue`](crate::Outbox::enqueue).
    pub fn query<'q>(
        &self,
        message: &Message,
        bind: impl FnOnce(Query<'q, Postgres, PgArguments>) -> Query<'q, Postgres, PgArguments>,
    ) -> Result<Query<'q, Postgres, PgArguments>, Error> {
        self.inner.settings.check_size(message)?;
        self.inner.notifier.arm();
        let keep = self.inner.database.keeps_statements();
        Ok(bind(sqlx::query(self.sql.clone()).persistent(keep))
            .bind(i32::from(shard_of(message, self.inner.settings.shards)))
            .bind(message.topic.as_str())
            .bind(message.key.as_ref().map(Key::as_str))
            .bind(envelope::write(message))
            .bind(message.payload.as_deref()))
    }

    /// Its text.
    #[must_use]
    pub fn sql(&self) -> &str {
        self.sql.as_str()
    }
}

/// The highest `$n` of a statement; 0 if it has none.
fn highest_parameter(sql: &str) -> usize {
    let number = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit());
        text[..end.unwrap_or(text.len())].parse().ok()
    };
    sql.split('$').skip(1).filter_map(number).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_parameter_is_found_at_any_place() {
        for (sql, highest) in [
            ("DELETE FROM t RETURNING 1", 0),
            ("UPDATE t SET a = $2 WHERE b = $1", 2),
            ("INSERT INTO t VALUES ($1, $12, $2)", 12),
            ("SELECT $$text$$, $1", 1),
        ] {
            assert_eq!(highest_parameter(sql), highest, "{sql}");
        }
    }
}
