//! Admission and effect in one statement.

use mainstay_database::postgres::{classify, statement};
use mainstay_messaging::{Delivery, Group};
use sqlx::{PgConnection, Postgres, Row as _, SqlStr, postgres::PgArguments, query::Query};

use super::PostgresInbox;
use crate::{Error, store::Identity};

/// An effect that is one statement, and is made only if its message is fresh.
///
/// It is text of the program, with parameters `$1`, `$2` …. The inbox renders the statement around
/// it, so that the effect always depends on the processed record.
#[derive(Clone, Debug)]
pub struct Effect {
    /// The text before the name of the processed record.
    head: String,
    /// The text behind it.
    tail: String,
    parameters: usize,
}

impl Effect {
    /// `INSERT INTO table (columns) SELECT values`: one row.
    #[must_use]
    pub fn insert(table: &'static str, columns: &'static str, values: &'static str) -> Self {
        Self {
            head: format!("INSERT INTO {table} ({columns}) SELECT {values} FROM"),
            tail: String::new(),
            parameters: parameters(&[columns, values]),
        }
    }

    /// `UPDATE table SET assignments WHERE condition`.
    ///
    /// The rows are those in the statement's snapshot. Rows that another transaction has changed
    /// since are read again before they are changed.
    #[must_use]
    pub fn update(table: &'static str, assignments: &'static str, condition: &'static str) -> Self {
        Self {
            head: format!("UPDATE {table} SET {assignments} FROM"),
            tail: format!("WHERE ({condition})"),
            parameters: parameters(&[assignments, condition]),
        }
    }

    /// `DELETE FROM table WHERE condition`; sees rows as [`update`](Self::update) does.
    #[must_use]
    pub fn delete(table: &'static str, condition: &'static str) -> Self {
        Self {
            head: format!("DELETE FROM {table} USING"),
            tail: format!("WHERE ({condition})"),
            parameters: parameters(&[condition]),
        }
    }
}

/// The highest parameter in these texts.
fn parameters(texts: &[&str]) -> usize {
    let named = texts.iter().flat_map(|text| text.split('$').skip(1));
    let number = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit());
        text[..end.unwrap_or(text.len())].parse().ok()
    };
    named.filter_map(number).max().unwrap_or(0)
}

/// A combined statement, which admits a message and makes its effect; see
/// [`PostgresInbox::admit_with`]. Clones share everything.
#[derive(Clone, Debug)]
pub struct CombinedEffect {
    sql: SqlStr,
    inbox: PostgresInbox,
}

/// What a [`CombinedEffect`] has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "an effect may have changed no row"]
#[non_exhaustive]
pub enum Combined {
    /// The message was not processed before, and its effect was made.
    Fresh {
        /// How many rows were inserted, changed or deleted.
        rows: u64,
    },
    /// The message was processed before: no effect was made.
    Duplicate,
}

impl PostgresInbox {
    /// Renders one statement that admits a message and, only if it is fresh, makes `effect`. Render
    /// it once, and keep it.
    ///
    /// Outside a transaction the statement commits by itself: one round trip in place of four. A
    /// duplicate costs a second one. Behind a pooler in transaction mode, run it in a transaction:
    /// the two halves of a prepared statement may reach two sessions there.
    #[must_use]
    pub fn admit_with(&self, effect: &Effect) -> CombinedEffect {
        let [consumer, source, id, topic, partition, offset] =
            std::array::from_fn(|at| effect.parameters + 1 + at);
        let Effect { head, tail, .. } = effect;
        // The effect reads the processed record, so it waits for another transaction that admits
        // the same message, and gets a row only if the record is new.
        let sql = format!(
            "WITH inbox_record AS (
                 INSERT INTO {{ns}}inbox_processed (consumer, source, id, topic, partition, \"offset\")
                 VALUES (${consumer}, ${source}, ${id}, ${topic}, ${partition}, ${offset})
                 ON CONFLICT DO NOTHING RETURNING 1),
             inbox_effect AS ({head} inbox_record {tail} RETURNING 1)
             SELECT (SELECT count(*) FROM inbox_record), (SELECT count(*) FROM inbox_effect)"
        );
        CombinedEffect {
            sql: statement(&self.namespace, &sql),
            inbox: self.clone(),
        }
    }
}

impl CombinedEffect {
    /// Admits the message for `consumer` and makes the effect, whose parameters `bind` binds in
    /// their order.
    ///
    /// On a connection without a transaction the statement commits by itself, and waits for locks
    /// up to the session's own `lock_timeout`.
    ///
    /// # Errors
    /// [`Error::Database`]. A surrounding transaction must then be rolled back. Without one, repeat
    /// the call after a retryable error: if the first one was committed, the second is a duplicate.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the effect was made; repeating the call is
    /// right.
    pub async fn admit<'q>(
        &self,
        connection: &mut PgConnection,
        consumer: &Group,
        delivery: &Delivery,
        bind: impl FnOnce(Query<'q, Postgres, PgArguments>) -> Query<'q, Postgres, PgArguments> + Send,
    ) -> Result<Combined, Error> {
        let Identity { source, id } = Identity::of(delivery);
        let keep = self.inbox.database.keeps_statements();
        let row = bind(sqlx::query(self.sql.clone()).persistent(keep))
            .bind(consumer.to_string())
            .bind(source.to_owned())
            .bind(id.into_owned())
            .bind(delivery.position.partition.topic.to_string())
            .bind(delivery.position.partition.number)
            .bind(delivery.position.offset)
            .fetch_one(&mut *connection)
            .await
            .map_err(classify)?;
        let count = |at| row.try_get::<i64, usize>(at).map_err(classify);
        let (added, rows) = (count(0)?, count(1)?);
        if added == 1 {
            let rows = rows.unsigned_abs();
            return Ok(Combined::Fresh { rows });
        }
        self.inbox
            .note_redeliveries(connection, consumer, &[delivery])
            .await?;
        Ok(Combined::Duplicate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_inbox_come_behind_those_of_the_effect() {
        assert_eq!(parameters(&["balance = balance + $2", "id = $12"]), 12);
        assert_eq!(parameters(&["seen = true", "price = '$'"]), 0);
    }
}
