//! Reading the log alone, which is all there is to read while the deferred table is empty.
//!
//! The statement for both tables sorts whole rows and counts them; for the log alone the server takes
//! half the time. Which one goes first follows from what the last round found.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sqlx::{PgConnection, Row as _};

use super::{
    Inner, driver,
    row_refs::{log_positions, shard_and_position},
    rows::{SUMMARY, read},
};
use crate::{
    Error,
    sql_rows::position,
    store::{Fetched, Limit, RowRef},
};

/// Rows of the log, if nothing of these shards is deferred. One snapshot, as for both tables. The columns
/// are the first eight of `fetch`; the attempts of the summary are 1 if anything is deferred, and then no
/// row is read.
///
/// A row of the kind [`BEYOND`] is the first one beyond the limit of bytes, without its content.
pub(super) const FETCH_LOG: &str = "WITH deferred AS MATERIALIZED (
       SELECT EXISTS (SELECT FROM unnest($1::int4[]) h(shard) CROSS JOIN LATERAL
                (SELECT FROM {ns}outbox_deferred WHERE head AND shard = h.shard ORDER BY due_at LIMIT 1) d)
           OR EXISTS (SELECT FROM unnest($1::int4[]) h(shard) CROSS JOIN LATERAL
                (SELECT FROM {ns}outbox_deferred WHERE NOT blocked AND shard = h.shard ORDER BY due_at LIMIT 1) d) AS is_any)
     SELECT 9 AS kind, NULL::int8 AS position, 0 AS shard, (SELECT is_any::int4 FROM deferred) AS attempts,
            NULL AS topic, NULL AS key, NULL AS envelope, NULL::bytea AS payload
     UNION ALL
     SELECT CASE WHEN fits THEN 0 ELSE 8 END, position, shard, 0, topic, key,
            CASE WHEN fits THEN envelope END, CASE WHEN fits THEN payload END
     FROM (SELECT *, n = 1 OR total <= $3 AS fits FROM (
       SELECT o.*, {size} AS size, row_number() OVER positions AS n, sum({size}) OVER positions AS total
       FROM {log} o WINDOW positions AS (ORDER BY o.position ROWS UNBOUNDED PRECEDING)) o) o
     WHERE n <= 2 OR total - size <= $3";

/// The log of one shard, which the planner reads in the order of its index.
pub(super) const OF_ONE_SHARD: &str =
    "(SELECT * FROM {ns}outbox WHERE shard = ($1::int4[])[1] AND position NOT IN (SELECT unnest($4::int8[]))
      AND NOT (SELECT is_any FROM deferred) ORDER BY position LIMIT $2)";

/// The logs of several shards, which are sorted.
pub(super) const OF_SHARDS: &str =
    "(SELECT o.* FROM unnest($1::int4[]) h(shard) CROSS JOIN LATERAL
       (SELECT * FROM {ns}outbox WHERE shard = h.shard AND position NOT IN (SELECT unnest($4::int8[]))
        AND NOT (SELECT is_any FROM deferred) ORDER BY position LIMIT $2) o ORDER BY o.position LIMIT $2)";

/// There is a row beyond the limit of bytes.
const BEYOND: i32 = 8;

/// The shards of relays whose last round found anything deferred. It only decides which statement goes
/// first.
#[derive(Debug, Default)]
pub(super) struct Deferring(Mutex<BTreeSet<i32>>);

impl Deferring {
    pub(super) fn is_likely_in(&self, shards: &[i32]) -> bool {
        let deferring = self.shards();
        shards.iter().any(|shard| deferring.contains(shard))
    }

    pub(super) fn note(&self, shards: &[i32], is_any_deferred: bool) {
        let mut deferring = self.shards();
        for shard in shards {
            if is_any_deferred {
                deferring.insert(*shard);
            } else {
                deferring.remove(shard);
            }
        }
    }

    fn shards(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// None: something is deferred.
    pub(super) async fn fetch_log(
        &self,
        connection: &mut PgConnection,
        shards: &[i32],
        limit: Limit,
        in_flight: &[RowRef],
    ) -> Result<Option<Fetched>, Error> {
        let sql = &self.statements;
        let statement = match shards {
            [_] => &sql.fetch_log_of_one_shard,
            _ => &sql.fetch_log,
        };
        let rows = sqlx::query(statement.clone())
            .persistent(self.database.keeps_statements())
            .bind(shards)
            .bind(i64::from(limit.messages))
            .bind(i64::try_from(limit.bytes).unwrap_or(i64::MAX))
            .bind(log_positions(in_flight))
            .fetch_all(connection)
            .await
            .map_err(driver)?;
        let mut fetched = Fetched::default();
        for row in rows {
            match row.try_get(0).map_err(driver)? {
                SUMMARY if row.try_get::<i32, _>(3).map_err(driver)? != 0 => {
                    self.deferring.note(shards, true);
                    return Ok(None);
                }
                SUMMARY => {}
                BEYOND => fetched.more = true,
                _ => read(&row, &mut fetched).map_err(driver)?,
            }
        }
        // A set has no order, although PostgreSQL hardly changes that of the window.
        (fetched.rows).sort_by_key(|row| shard_and_position(position(row.row_ref)).1);
        fetched.more |= fetched.rows.len() >= limit.messages as usize;
        Ok(Some(fetched))
    }
}
