//! The tables of the payment service. Sets go in one statement each.

use std::collections::{BTreeSet, HashMap, HashSet};

use commerce_chassis::{Cause, Connection, Error, Pool, Result, column, rows, sql, touched};
use commerce_contracts::{Currency, Money, OrderId};
use serde::Serialize;

use crate::{
    intent::{Kind, Question},
    ledger,
    payment::Status,
};

/// A payment.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    pub(crate) order_id: OrderId,
    pub(crate) status: Status,
    pub(crate) amount: Money,
    pub(crate) currency: Currency,
    pub(crate) method: String,
    pub(crate) provider_ref: Option<String>,
    /// Whether it has no row yet.
    pub(crate) is_new: bool,
    /// Messages it has emitted.
    pub(crate) emitted: i64,
}

/// An operation that the provider has to do.
#[derive(Clone, Debug)]
pub(crate) struct Intent {
    pub(crate) effect_key: String,
    pub(crate) order_id: OrderId,
    pub(crate) kind: Kind,
    pub(crate) question: Question,
    pub(crate) asked: i64,
    pub(crate) causation_id: String,
    pub(crate) correlation_id: Option<String>,
}

impl Intent {
    pub(crate) fn cause(&self) -> Cause<'_> {
        Cause {
            message_id: Some(&self.causation_id),
            correlation_id: self.correlation_id.as_deref(),
        }
    }
}

type Row = (String, String, i64, String, String, Option<String>, i64);

fn read(row: Row) -> Result<Payment> {
    let (order_id, status, amount, currency, method, provider_ref, emitted) = row;
    let damaged = |error| Error::damaged("a stored payment", error);
    Ok(Payment {
        order_id: OrderId::new(order_id),
        status: Status::from_name(&status)
            .ok_or_else(|| Error::damaged("a stored payment", format!("status {status:?}")))?,
        amount: Money::from_minor(amount).map_err(damaged)?,
        currency: currency.parse().map_err(damaged)?,
        method,
        provider_ref,
        is_new: false,
        emitted,
    })
}

/// Reads and locks payments.
pub(crate) async fn load(
    connection: &mut Connection,
    orders: &BTreeSet<&OrderId>,
) -> Result<HashMap<OrderId, Payment>> {
    let found: Vec<Row> = sqlx::query_as(commerce_chassis::locking!(
        "SELECT p.order_id, p.status, p.amount_minor, p.currency, p.payment_method, p.provider_ref, p.emitted
         FROM json_each($1) AS w CROSS JOIN payments AS p WHERE p.order_id = w.value ->> 0 ORDER BY p.order_id",
        "p"
    ))
    .bind(column(orders)?)
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    found
        .into_iter()
        .map(|row| {
            let payment = read(row)?;
            Ok((payment.order_id.clone(), payment))
        })
        .collect()
}

/// Inserts new payments, and updates the others.
pub(crate) async fn save(
    connection: &mut Connection,
    payments: &[&Payment],
    now: i64,
) -> Result<()> {
    let (new, changed): (Vec<_>, Vec<_>) = payments.iter().partition(|payment| payment.is_new);
    if !new.is_empty() {
        insert(connection, new, now).await?;
    }
    if !changed.is_empty() {
        update(connection, &changed, now).await?;
    }
    Ok(())
}

/// Inserts payments. All transactions insert in the same order.
async fn insert(connection: &mut Connection, mut payments: Vec<&Payment>, now: i64) -> Result<()> {
    payments.sort_unstable_by_key(|payment| payment.order_id.as_str());
    let set: Vec<_> = payments
        .iter()
        .map(|payment| {
            (
                payment.order_id.as_str(),
                payment.status.name(),
                payment.amount.minor(),
                payment.currency.code(),
                &payment.method,
                &payment.provider_ref,
                payment.emitted,
            )
        })
        .collect();
    // Without `WHERE true`, SQLite's parser takes ON for a join's.
    let written = sqlx::query(
        "INSERT INTO payments (order_id, status, amount_minor, currency, payment_method, provider_ref, emitted, updated_at)
         SELECT value ->> 0, value ->> 1, CAST(value ->> 2 AS BIGINT), value ->> 3, value ->> 4, value ->> 5,
                CAST(value ->> 6 AS BIGINT), $2
         FROM json_each($1) WHERE true
         ON CONFLICT (order_id) DO NOTHING",
    )
    .bind(rows(&set)?)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?
    .rows_affected();
    touched(written, set.len(), Error::taken("a payment"))
}

async fn update(connection: &mut Connection, payments: &[&Payment], now: i64) -> Result<()> {
    let set: Vec<_> = payments
        .iter()
        .map(|payment| {
            (
                payment.order_id.as_str(),
                payment.status.name(),
                &payment.provider_ref,
                payment.emitted,
            )
        })
        .collect();
    let written = sqlx::query(
        "UPDATE payments SET status = w.value ->> 1, provider_ref = w.value ->> 2,
                             emitted = CAST(w.value ->> 3 AS BIGINT), updated_at = $2
         FROM json_each($1) AS w WHERE order_id = w.value ->> 0",
    )
    .bind(rows(&set)?)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?
    .rows_affected();
    touched(written, set.len(), Error::Changed { what: "a payment" })
}

/// Inserts intents, due now.
pub(crate) async fn intend(
    connection: &mut Connection,
    intents: &[Intent],
    now: i64,
) -> Result<()> {
    let set: Vec<_> = intents
        .iter()
        .map(|intent| {
            (
                &intent.effect_key,
                intent.order_id.as_str(),
                intent.kind.name(),
                &intent.causation_id,
                &intent.correlation_id,
            )
        })
        .collect();
    sqlx::query(
        "INSERT INTO intents (effect_key, order_id, kind, question, asked, due_at, done, causation_id, correlation_id)
         SELECT value ->> 0, value ->> 1, value ->> 2, 'ask', 0, $2, 0, value ->> 3, value ->> 4 FROM json_each($1)",
    )
    .bind(rows(&set)?)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

type IntentRow = (String, String, String, String, i64, String, Option<String>);

/// Reads due intents, of each order only the oldest.
pub(crate) async fn due(reader: &Pool, now: i64, limit: i64) -> Result<Vec<Intent>> {
    let found: Vec<IntentRow> = sqlx::query_as(
        "SELECT effect_key, order_id, kind, question, asked, causation_id, correlation_id FROM intents AS i
         WHERE done = 0 AND due_at <= $1
           AND NOT EXISTS (SELECT 1 FROM intents AS e WHERE e.order_id = i.order_id AND e.done = 0 AND e.number < i.number)
         ORDER BY due_at LIMIT $2",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(reader)
    .await
    .map_err(sql)?;
    found
        .into_iter()
        .map(|row| {
            let (effect_key, order_id, kind, question, asked, causation_id, correlation_id) = row;
            let damaged = |what| Error::damaged("a stored intent", format!("{what:?}"));
            Ok(Intent {
                effect_key,
                order_id: OrderId::new(order_id),
                kind: Kind::from_name(&kind).ok_or_else(|| damaged(&kind))?,
                question: Question::from_name(&question).ok_or_else(|| damaged(&question))?,
                asked,
                causation_id,
                correlation_id,
            })
        })
        .collect()
}

/// When the next intent falls due.
pub(crate) async fn next_due(reader: &Pool) -> Result<Option<i64>> {
    sqlx::query_scalar("SELECT min(due_at) FROM intents WHERE done = 0")
        .fetch_one(reader)
        .await
        .map_err(sql)
}

/// The result of calling the provider for an intent; `again` is none = done.
pub(crate) struct Turn<'a> {
    pub(crate) intent: &'a Intent,
    /// The number of requests when the intent was read.
    pub(crate) seen: i64,
    pub(crate) again: Option<(Question, i64)>,
}

/// Updates intents, and returns the keys of those that no other process updated since they were
/// read.
pub(crate) async fn turn(
    connection: &mut Connection,
    turns: &[Turn<'_>],
) -> Result<HashSet<String>> {
    let set: Vec<_> = turns
        .iter()
        .map(|turn| {
            let (question, due_at) = turn.again.unwrap_or((turn.intent.question, 0));
            (
                &turn.intent.effect_key,
                turn.seen,
                turn.intent.asked,
                question.name(),
                due_at,
                i64::from(turn.again.is_none()),
            )
        })
        .collect();
    let set = rows(&set)?;
    // Several processes may hold the same intents: lock in the order in which all transactions
    // lock.
    sqlx::query(commerce_chassis::locking!(
        "SELECT i.number FROM json_each($1) AS w CROSS JOIN intents AS i WHERE i.effect_key = w.value ->> 0
         ORDER BY i.effect_key",
        "i"
    ))
    .bind(&set)
    .execute(&mut *connection)
    .await
    .map_err(sql)?;
    let turned: Vec<String> = sqlx::query_scalar(
        "UPDATE intents SET asked = CAST(w.value ->> 2 AS BIGINT), question = w.value ->> 3,
                            due_at = CAST(w.value ->> 4 AS BIGINT), done = CAST(w.value ->> 5 AS BIGINT)
         FROM json_each($1) AS w
         WHERE effect_key = w.value ->> 0 AND done = 0 AND asked = CAST(w.value ->> 1 AS BIGINT)
         RETURNING effect_key",
    )
    .bind(set)
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    Ok(turned.into_iter().collect())
}

/// Inserts the ledger entries of operations. A second entry for an operation is an error.
pub(crate) async fn book(
    connection: &mut Connection,
    operations: &[(&Intent, &Payment)],
    now: i64,
) -> Result<()> {
    let set: Vec<_> = operations
        .iter()
        .flat_map(|(intent, payment)| {
            let entries = ledger::entries(intent.kind, payment.amount);
            entries.into_iter().map(move |(account, amount)| {
                let order_id = payment.order_id.as_str();
                let currency = payment.currency.code();
                (&intent.effect_key, account, order_id, amount, currency)
            })
        })
        .collect();
    sqlx::query(
        "INSERT INTO ledger_entries (operation, account, order_id, amount_minor, currency, booked_at)
         SELECT value ->> 0, value ->> 1, value ->> 2, CAST(value ->> 3 AS BIGINT), value ->> 4, $2 FROM json_each($1)",
    )
    .bind(rows(&set)?)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Reads a payment for a client.
pub(crate) async fn show(reader: &Pool, order_id: &str) -> Result<Option<Payment>> {
    let found: Option<Row> = sqlx::query_as(
        "SELECT order_id, status, amount_minor, currency, payment_method, provider_ref, emitted FROM payments
         WHERE order_id = $1",
    )
    .bind(order_id)
    .fetch_optional(reader)
    .await
    .map_err(sql)?;
    found.map(read).transpose()
}

/// A ledger entry for a client.
#[derive(Clone, Serialize, Debug)]
pub(crate) struct Entry {
    operation: String,
    account: String,
    amount_minor: i64,
    currency: String,
}

/// Reads an order's ledger for a client.
pub(crate) async fn entries(reader: &Pool, order_id: &str) -> Result<Vec<Entry>> {
    let found: Vec<(String, String, i64, String)> = sqlx::query_as(
        "SELECT operation, account, amount_minor, currency FROM ledger_entries WHERE order_id = $1
         ORDER BY booked_at, operation, account",
    )
    .bind(order_id)
    .fetch_all(reader)
    .await
    .map_err(sql)?;
    Ok(found
        .into_iter()
        .map(|(operation, account, amount_minor, currency)| Entry {
            operation,
            account,
            amount_minor,
            currency,
        })
        .collect())
}
