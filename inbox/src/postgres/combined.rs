//! Admission and effect in one statement.

use mainstay_database::postgres::{classify, statement};
use mainstay_messaging::{Delivery, Group};
use sqlx::{PgConnection, Postgres, Row as _, SqlStr, postgres::PgArguments, query::Query};

use super::PostgresInbox;
use crate::{Error, Identity};

/// An effect that is one statement, made only if its message is fresh.
///
/// Text of the program, with parameters `$1`, `$2` …; the statement around it is rendered here, so that the effect cannot
/// be written in a form that runs beside the mark instead of after it.
#[derive(Clone, Debug)]
pub struct Effect {
    /// Up to where the mark is to be read from.
    head: String,
    /// What stands behind it.
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
    /// The rows are those that the statement's snapshot shows, which is older than the end of a transaction that admitted the
    /// message at the same time; rows that were changed since are read anew before they are changed.
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

/// The highest parameter that these texts name.
fn parameters(texts: &[&str]) -> usize {
    let named = texts.iter().flat_map(|text| text.split('$').skip(1));
    let number = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit());
        text[..end.unwrap_or(text.len())].parse().ok()
    };
    named.filter_map(number).max().unwrap_or(0)
}

/// A statement that admits a message and makes its effect; see [`PostgresInbox::admit_with`]. Clones share everything.
#[derive(Clone, Debug)]
pub struct CombinedEffect {
    sql: SqlStr,
    inbox: PostgresInbox,
}

/// What a [`CombinedEffect`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "an effect may have changed no row"]
#[non_exhaustive]
pub enum Combined {
    /// The message had not been seen before, and its effect was made.
    Fresh {
        /// So many rows were inserted, changed or deleted.
        rows: u64,
    },
    /// Its effect had been made already: none was made.
    Duplicate,
}

impl PostgresInbox {
    /// Renders one statement that admits a message and, only if it is fresh, makes `effect`. Do it once, and keep it.
    ///
    /// By itself such a statement is a transaction: one round trip in place of four. A duplicate costs a second one. Behind a
    /// pooler in transaction mode run it within a transaction: the two halves of a statement may meet two sessions there.
    #[must_use]
    pub fn admit_with(&self, effect: &Effect) -> CombinedEffect {
        let [consumer, source, id, topic, partition, offset] =
            std::array::from_fn(|at| effect.parameters + 1 + at);
        let Effect { head, tail, .. } = effect;
        // The effect reads the mark, so it waits for whoever is admitting the same message, and gets a row if there is one.
        let sql = format!(
            "WITH inbox_mark AS (
                 INSERT INTO {{ns}}inbox_processed (consumer, source, id, topic, partition, \"offset\")
                 VALUES (${consumer}, ${source}, ${id}, ${topic}, ${partition}, ${offset})
                 ON CONFLICT DO NOTHING RETURNING 1),
             inbox_effect AS ({head} inbox_mark {tail} RETURNING 1)
             SELECT (SELECT count(*) FROM inbox_mark), (SELECT count(*) FROM inbox_effect)"
        );
        CombinedEffect {
            sql: statement(&self.namespace, &sql),
            inbox: self.clone(),
        }
    }
}

impl CombinedEffect {
    /// Admits the message for `consumer` and makes the effect, whose parameters `bind` binds in their order.
    ///
    /// On a connection without a transaction the statement commits by itself, and waits for locks as long as the session's own
    /// `lock_timeout` says.
    ///
    /// # Errors
    /// [`Error::Database`]; within a transaction, that must then be rolled back. Without one, an error that is retryable may
    /// be answered by doing the same again: if the first try was committed, the second is a duplicate.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown what was done; doing it again is right.
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
        let (marks, rows) = (count(0)?, count(1)?);
        if marks == 1 {
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
    fn our_parameters_come_behind_those_of_the_effect() {
        assert_eq!(parameters(&["balance = balance + $2", "id = $12"]), 12);
        assert_eq!(parameters(&["seen = true", "price = '$'"]), 0);
    }
}
