//! The tables of the analytics service.

use std::collections::{BTreeMap, BTreeSet};

use commerce_chassis::{Connection, Error, Pool, Result, sql};
use sqlx::{FromRow, QueryBuilder, Row as _};

use crate::{
    counts::{Cell, Count, Counts, Dimension},
    fact::{Fact, Placed},
};

pub(crate) type Driver = <Connection as sqlx::Connection>::Database;
pub(crate) type Row = <Driver as sqlx::Database>::Row;

/// Rows of one statement at most: its parameters are limited.
const TOGETHER: usize = 500;

/// Which counts are live, and how far a rebuild is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Projection {
    /// The generation of the live counts.
    pub(crate) live: i64,
    /// The generation that a rebuild is writing.
    pub(crate) building: Option<i64>,
    /// The last order that the rebuild has counted.
    pub(crate) cursor: String,
    pub(crate) facts_done: i64,
    pub(crate) facts_total: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
    /// Of the last rebuild, when it finished.
    pub(crate) live_hash: Option<String>,
    pub(crate) rebuilt_hash: Option<String>,
}

impl Projection {
    /// The generations that events are counted in.
    pub(crate) fn generations(&self) -> impl Iterator<Item = i64> + use<> {
        [Some(self.live), self.building].into_iter().flatten()
    }

    /// Whether a generation has counted the order so far. A rebuild comes to the orders behind its
    /// cursor later, and finds what is known of them by then.
    pub(crate) fn has_counted(&self, generation: i64, order_id: &str) -> bool {
        generation == self.live || order_id <= &*self.cursor
    }
}

impl<'r> FromRow<'r, Row> for Projection {
    fn from_row(row: &'r Row) -> std::result::Result<Self, sqlx::Error> {
        Ok(Self {
            live: row.try_get("live")?,
            building: row.try_get("building")?,
            cursor: row.try_get("last_order")?,
            facts_done: row.try_get("facts_done")?,
            facts_total: row.try_get("facts_total")?,
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
            live_hash: row.try_get("live_hash")?,
            rebuilt_hash: row.try_get("rebuilt_hash")?,
        })
    }
}

impl<'r> FromRow<'r, Row> for Fact {
    fn from_row(row: &'r Row) -> std::result::Result<Self, sqlx::Error> {
        let placed_at: Option<i64> = row.try_get("placed_at")?;
        let placed = match placed_at {
            None => None,
            Some(at) => {
                let lines = serde_json::from_str(row.try_get("lines")?);
                Some(Placed {
                    at,
                    customer_id: row.try_get("customer_id")?,
                    currency: row.try_get("currency")?,
                    total_minor: row.try_get("total_minor")?,
                    lines: lines.map_err(|error| sqlx::Error::Decode(error.into()))?,
                })
            }
        };
        Ok(Self {
            placed,
            out_of_stock_at: row.try_get("out_of_stock_at")?,
            declined_at: row.try_get("declined_at")?,
            authorized_at: row.try_get("authorized_at")?,
            confirmed_at: row.try_get("confirmed_at")?,
            dispatched_at: row.try_get("dispatched_at")?,
            delivered_at: row.try_get("delivered_at")?,
            returned_at: row.try_get("returned_at")?,
            completed_at: row.try_get("completed_at")?,
            cancelled_at: row.try_get("cancelled_at")?,
            cancel_code: row.try_get("cancel_code")?,
            refunded_minor: row.try_get("refunded_minor")?,
        })
    }
}

/// The facts of one order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Known {
    pub(crate) order_id: String,
    pub(crate) fact: Fact,
}

impl<'r> FromRow<'r, Row> for Known {
    fn from_row(row: &'r Row) -> std::result::Result<Self, sqlx::Error> {
        Ok(Self {
            order_id: row.try_get("order_id")?,
            fact: Fact::from_row(row)?,
        })
    }
}

/// Locks and reads the projection. Who has it locked is the only one that writes facts and counts.
pub(crate) async fn lock(connection: &mut Connection) -> Result<Projection> {
    sqlx::query_as(commerce_chassis::locking!(
        "SELECT * FROM projection",
        "projection"
    ))
    .fetch_one(connection)
    .await
    .map_err(sql)
}

/// Reads the projection.
pub(crate) async fn projection(reader: &Pool) -> Result<Projection> {
    sqlx::query_as("SELECT * FROM projection")
        .fetch_one(reader)
        .await
        .map_err(sql)
}

/// What is known of these orders.
pub(crate) async fn facts(
    connection: &mut Connection,
    order_ids: &BTreeSet<&str>,
) -> Result<BTreeMap<String, Fact>> {
    let mut found = BTreeMap::new();
    let ids: Vec<&str> = order_ids.iter().copied().collect();
    for ids in ids.chunks(TOGETHER) {
        let mut query =
            QueryBuilder::<Driver>::new("SELECT * FROM fact_orders WHERE order_id IN (");
        let mut list = query.separated(", ");
        for id in ids {
            list.push_bind((*id).to_owned());
        }
        query.push(")");
        let query = query.build_query_as::<Known>().persistent(false);
        let known = query.fetch_all(&mut *connection).await.map_err(sql)?;
        found.extend(known.into_iter().map(|known| (known.order_id, known.fact)));
    }
    Ok(found)
}

/// The next orders behind `cursor`.
pub(crate) async fn page(
    connection: &mut Connection,
    cursor: &str,
    limit: i64,
) -> Result<Vec<Known>> {
    sqlx::query_as("SELECT * FROM fact_orders WHERE order_id > $1 ORDER BY order_id LIMIT $2 + 0")
        .bind(cursor)
        .bind(limit)
        .fetch_all(connection)
        .await
        .map_err(sql)
}

/// The next orders behind `cursor` among those that were placed in `[from, to)`, by time.
pub(crate) async fn placed_between(
    reader: &Pool,
    (from, to): (i64, i64),
    cursor: &(i64, String),
    limit: i64,
) -> Result<Vec<Known>> {
    sqlx::query_as(
        "SELECT * FROM fact_orders
         WHERE placed_at >= $1 AND placed_at < $2 AND (placed_at > $3 OR (placed_at = $3 AND order_id > $4))
         ORDER BY placed_at, order_id LIMIT $5 + 0",
    )
    .bind(from)
    .bind(to)
    .bind(cursor.0)
    .bind(&cursor.1)
    .bind(limit)
    .fetch_all(reader)
    .await
    .map_err(sql)
}

/// Writes facts, whole rows.
pub(crate) async fn save_facts(
    connection: &mut Connection,
    facts: &BTreeMap<String, Fact>,
) -> Result<()> {
    let mut rows = Vec::with_capacity(facts.len());
    for (order_id, fact) in facts {
        let lines = fact.placed.as_ref().map(|placed| &placed.lines);
        let lines = lines.map(serde_json::to_string).transpose();
        let lines = lines.map_err(|error| Error::damaged("a received order", error))?;
        rows.push((order_id, fact, lines));
    }
    for rows in rows.chunks(TOGETHER) {
        let mut insert = QueryBuilder::<Driver>::new(
            "INSERT INTO fact_orders (order_id, placed_at, customer_id, currency, total_minor, lines, out_of_stock_at, declined_at, authorized_at,
             confirmed_at, dispatched_at, delivered_at, returned_at, completed_at, cancelled_at, cancel_code, refunded_minor) ",
        );
        insert.push_values(rows, |mut row, (order_id, fact, lines)| {
            let placed = fact.placed.as_ref();
            row.push_bind((*order_id).clone())
                .push_bind(placed.map(|placed| placed.at))
                .push_bind(placed.map(|placed| placed.customer_id.clone()))
                .push_bind(placed.map(|placed| placed.currency.clone()))
                .push_bind(placed.map(|placed| placed.total_minor))
                .push_bind(lines.clone())
                .push_bind(fact.out_of_stock_at)
                .push_bind(fact.declined_at)
                .push_bind(fact.authorized_at)
                .push_bind(fact.confirmed_at)
                .push_bind(fact.dispatched_at)
                .push_bind(fact.delivered_at)
                .push_bind(fact.returned_at)
                .push_bind(fact.completed_at)
                .push_bind(fact.cancelled_at)
                .push_bind(fact.cancel_code.clone())
                .push_bind(fact.refunded_minor);
        });
        insert.push(
            " ON CONFLICT (order_id) DO UPDATE SET placed_at = excluded.placed_at, customer_id = excluded.customer_id, currency = excluded.currency,
              total_minor = excluded.total_minor, lines = excluded.lines, out_of_stock_at = excluded.out_of_stock_at, declined_at = excluded.declined_at,
              authorized_at = excluded.authorized_at, confirmed_at = excluded.confirmed_at, dispatched_at = excluded.dispatched_at,
              delivered_at = excluded.delivered_at, returned_at = excluded.returned_at, completed_at = excluded.completed_at,
              cancelled_at = excluded.cancelled_at, cancel_code = excluded.cancel_code, refunded_minor = excluded.refunded_minor",
        );
        let insert = insert.build().persistent(false);
        insert.execute(&mut *connection).await.map_err(sql)?;
    }
    Ok(())
}

/// Adds to the counts of a generation.
pub(crate) async fn add(
    connection: &mut Connection,
    generation: i64,
    counts: &Counts,
) -> Result<()> {
    let rows: Vec<(&Cell, &Count)> = counts.iter().collect();
    for rows in rows.chunks(TOGETHER) {
        let mut insert = QueryBuilder::<Driver>::new(
            "INSERT INTO daily_sales AS d (generation, day, dimension, currency, member, orders, pieces, amount_minor) ",
        );
        insert.push_values(rows, |mut row, (cell, count)| {
            row.push_bind(generation)
                .push_bind(cell.day.clone())
                .push_bind(cell.dimension.name())
                .push_bind(cell.currency.clone())
                .push_bind(cell.member.clone())
                .push_bind(count.orders)
                .push_bind(count.pieces)
                .push_bind(count.amount_minor);
        });
        insert.push(
            " ON CONFLICT (generation, day, dimension, currency, member) DO UPDATE
              SET orders = d.orders + excluded.orders, pieces = d.pieces + excluded.pieces, amount_minor = d.amount_minor + excluded.amount_minor",
        );
        let insert = insert.build().persistent(false);
        insert.execute(&mut *connection).await.map_err(sql)?;
    }
    Ok(())
}

/// A row of the counts.
pub(crate) type Counted = (String, String, String, String, i64, i64, i64);

/// The counts of a generation.
pub(crate) async fn counts(connection: &mut Connection, generation: i64) -> Result<Counts> {
    let rows: Vec<Counted> = sqlx::query_as(
        "SELECT day, dimension, currency, member, orders, pieces, amount_minor FROM daily_sales WHERE generation = $1",
    )
    .bind(generation)
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    read_counts(rows)
}

pub(crate) fn read_counts(rows: Vec<Counted>) -> Result<Counts> {
    let mut counts = Counts::default();
    for (day, dimension, currency, member, orders, pieces, amount_minor) in rows {
        let mut all = Dimension::ALL.into_iter();
        let known = all.find(|it| it.name() == dimension);
        let dimension =
            known.ok_or_else(|| Error::damaged("a count", format!("dimension {dimension:?}")))?;
        let cell = Cell {
            day,
            dimension,
            currency,
            member,
        };
        let count = Count {
            orders,
            pieces,
            amount_minor,
        };
        counts.add(cell, count);
    }
    Ok(counts)
}

/// Begins a rebuild, unless one is under way.
pub(crate) async fn begin_rebuild(connection: &mut Connection, now: i64) -> Result<()> {
    sqlx::query(
        "UPDATE projection SET building = live + 1, last_order = '', facts_done = 0, facts_total = (SELECT count(*) FROM fact_orders),
         started_at = $1, finished_at = NULL, live_hash = NULL, rebuilt_hash = NULL WHERE building IS NULL",
    )
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Records that a rebuild has counted so many orders more, up to `cursor`.
pub(crate) async fn go_on(connection: &mut Connection, cursor: &str, more: i64) -> Result<()> {
    sqlx::query("UPDATE projection SET last_order = $1, facts_done = facts_done + $2")
        .bind(cursor)
        .bind(more)
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(())
}

/// Ends a rebuild: its counts are the live ones now, and the others are deleted.
pub(crate) async fn swap(
    connection: &mut Connection,
    live_hash: &str,
    rebuilt_hash: &str,
    now: i64,
) -> Result<()> {
    sqlx::query(
        "UPDATE projection SET live = building, building = NULL, finished_at = $1, live_hash = $2, rebuilt_hash = $3",
    )
    .bind(now)
    .bind(live_hash)
    .bind(rebuilt_hash)
    .execute(&mut *connection)
    .await
    .map_err(sql)?;
    sqlx::query("DELETE FROM daily_sales WHERE generation <> (SELECT live FROM projection)")
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(())
}

/// A row of a report: a group, a currency, orders, pieces, amount.
pub(crate) type Reported = (String, String, i64, i64, i64);

/// The counts of the days from `from` to `to`, by day.
pub(crate) async fn by_day(reader: &Pool, from: &str, to: &str) -> Result<Vec<Reported>> {
    sqlx::query_as(
        "SELECT day, currency, CAST(sum(orders) AS BIGINT), CAST(sum(pieces) AS BIGINT), CAST(sum(amount_minor) AS BIGINT) FROM daily_sales
         WHERE generation = (SELECT live FROM projection) AND dimension = 'status' AND member <> 'cancelled' AND day >= $1 AND day <= $2
         GROUP BY day, currency HAVING sum(orders) > 0 ORDER BY day, currency",
    )
    .bind(from)
    .bind(to)
    .fetch_all(reader)
    .await
    .map_err(sql)
}

/// The counts of the days from `from` to `to`, by the members of a dimension.
pub(crate) async fn by_member(
    reader: &Pool,
    dimension: Dimension,
    from: &str,
    to: &str,
) -> Result<Vec<Reported>> {
    sqlx::query_as(
        "SELECT member, currency, CAST(sum(orders) AS BIGINT), CAST(sum(pieces) AS BIGINT), CAST(sum(amount_minor) AS BIGINT) FROM daily_sales
         WHERE generation = (SELECT live FROM projection) AND dimension = $1 AND day >= $2 AND day <= $3
         GROUP BY member, currency HAVING sum(orders) > 0 ORDER BY member, currency",
    )
    .bind(dimension.name())
    .bind(from)
    .bind(to)
    .fetch_all(reader)
    .await
    .map_err(sql)
}
