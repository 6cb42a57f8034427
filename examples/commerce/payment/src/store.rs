//! The tables of the payment service.

use commerce_chassis::{Connection, Error, Pool, Result, sql, utoipa};
use commerce_contracts::{AuthorizePayment, Currency, Money, OrderId};
use serde::Serialize;

use crate::{
    intent::{Kind, Question},
    ledger,
    payment::{Payment, Status},
};

/// An operation that is left to do at the provider, and the payment's part of the call.
#[derive(Clone, Debug)]
pub(crate) struct Intent {
    pub(crate) effect_key: String,
    pub(crate) order_id: OrderId,
    pub(crate) kind: Kind,
    pub(crate) question: Question,
    /// Answered calls so far.
    pub(crate) calls: i64,
    /// The saga's command that is to be answered, as JSON.
    pub(crate) task: String,
    pub(crate) amount: Money,
    pub(crate) currency: Currency,
    pub(crate) method: String,
}

type PaymentRow = (
    String,
    String,
    i64,
    String,
    String,
    i64,
    Option<String>,
    i64,
    Option<String>,
);

fn read_payment(row: PaymentRow) -> Result<Payment> {
    let (order_id, status, amount, currency, method, attempts, provider_ref, refunded, customer_id) =
        row;
    let damaged = |error| Error::damaged("a stored payment", error);
    Ok(Payment {
        order_id: OrderId::new(order_id),
        status: Status::from_name(&status)
            .ok_or_else(|| Error::damaged("a stored payment", format!("status {status:?}")))?,
        amount: Money::from_minor(amount).map_err(damaged)?,
        currency: currency.parse().map_err(damaged)?,
        method,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        provider_ref,
        refunded: Money::from_minor(refunded).map_err(damaged)?,
        customer_id,
    })
}

/// Reads and locks a payment.
pub(crate) async fn find(
    connection: &mut Connection,
    order_id: &OrderId,
) -> Result<Option<Payment>> {
    let found: Option<PaymentRow> = sqlx::query_as(commerce_chassis::locking!(
        "SELECT order_id, status, amount_minor, currency, payment_method, attempts, provider_ref,
                refunded_minor, customer_id
         FROM payments AS p WHERE order_id = $1",
        "p"
    ))
    .bind(order_id.as_str())
    .fetch_optional(connection)
    .await
    .map_err(sql)?;
    found.map(read_payment).transpose()
}

/// Inserts a payment, or begins its next attempt.
pub(crate) async fn request(
    connection: &mut Connection,
    command: &AuthorizePayment,
    now: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO payments AS p (order_id, status, amount_minor, currency, payment_method, customer_id, attempts, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, 1, $7)
         ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, amount_minor = excluded.amount_minor,
             currency = excluded.currency, payment_method = excluded.payment_method,
             customer_id = excluded.customer_id, attempts = p.attempts + 1,
             updated_at = excluded.updated_at",
    )
    .bind(command.order_id.as_str())
    .bind(Status::Requested.name())
    .bind(command.amount_minor.minor())
    .bind(command.currency.code())
    .bind(&command.payment_method)
    .bind(&command.customer_id)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Writes what has changed of a payment.
pub(crate) async fn save(connection: &mut Connection, payment: &Payment, now: i64) -> Result<()> {
    sqlx::query(
        "UPDATE payments SET status = $2, provider_ref = $3, refunded_minor = $4, updated_at = $5
         WHERE order_id = $1",
    )
    .bind(payment.order_id.as_str())
    .bind(payment.status.name())
    .bind(&payment.provider_ref)
    .bind(payment.refunded.minor())
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Inserts an intent, due now. A payment has at most one.
pub(crate) async fn intend(
    connection: &mut Connection,
    kind: Kind,
    effect_key: &str,
    (order_id, amount): (&OrderId, Money),
    task: &(impl Serialize + Sync),
    now: i64,
) -> Result<()> {
    let task = serde_json::to_string(task).map_err(|error| Error::damaged("a task", error))?;
    insert(
        connection,
        (kind, effect_key),
        (order_id, amount),
        (&task, 0),
        now,
    )
    .await
}

/// Inserts another operation behind a closed intent, for the same command. It counts on the calls of
/// that one, so that an answer to an earlier call never closes a later intent with the same key.
pub(crate) async fn go_on(
    connection: &mut Connection,
    closed: &Intent,
    (kind, effect_key): (Kind, String),
    now: i64,
) -> Result<()> {
    let (of, calls) = ((&closed.order_id, closed.amount), closed.calls + 1);
    insert(
        connection,
        (kind, &effect_key),
        of,
        (&closed.task, calls),
        now,
    )
    .await
}

async fn insert(
    connection: &mut Connection,
    (kind, effect_key): (Kind, &str),
    (order_id, amount): (&OrderId, Money),
    (task, calls): (&str, i64),
    now: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO intents (effect_key, order_id, kind, question, calls, due_at, task, amount_minor)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(effect_key)
    .bind(order_id.as_str())
    .bind(kind.name())
    .bind(Question::Ask.name())
    .bind(calls)
    .bind(now)
    .bind(task)
    .bind(amount.minor())
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Gives up what a payment has left to do. The answer to a call that is under way is then ignored.
pub(crate) async fn withdraw(connection: &mut Connection, order_id: &OrderId) -> Result<()> {
    sqlx::query("DELETE FROM intents WHERE order_id = $1")
        .bind(order_id.as_str())
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(())
}

type IntentRow = (
    String,
    String,
    String,
    String,
    i64,
    String,
    i64,
    String,
    String,
);

/// Reads due intents, the oldest first.
pub(crate) async fn due(reader: &Pool, now: i64, limit: i64) -> Result<Vec<Intent>> {
    let found: Vec<IntentRow> = sqlx::query_as(
        "SELECT i.effect_key, i.order_id, i.kind, i.question, i.calls, i.task,
                coalesce(i.amount_minor, p.amount_minor), p.currency, p.payment_method
         FROM intents AS i JOIN payments AS p ON p.order_id = i.order_id
         WHERE i.due_at <= $1 ORDER BY i.due_at LIMIT $2 + 0",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(reader)
    .await
    .map_err(sql)?;
    found.into_iter().map(read_intent).collect()
}

/// Reads the intent with an effect key.
pub(crate) async fn intent(reader: &Pool, effect_key: &str) -> Result<Option<Intent>> {
    let found: Option<IntentRow> = sqlx::query_as(
        "SELECT i.effect_key, i.order_id, i.kind, i.question, i.calls, i.task,
                coalesce(i.amount_minor, p.amount_minor), p.currency, p.payment_method
         FROM intents AS i JOIN payments AS p ON p.order_id = i.order_id WHERE i.effect_key = $1",
    )
    .bind(effect_key)
    .fetch_optional(reader)
    .await
    .map_err(sql)?;
    found.map(read_intent).transpose()
}

/// The answered calls of the intent with an effect key.
pub(crate) async fn calls(reader: &Pool, effect_key: &str) -> Result<Option<i64>> {
    sqlx::query_scalar("SELECT calls FROM intents WHERE effect_key = $1")
        .bind(effect_key)
        .fetch_optional(reader)
        .await
        .map_err(sql)
}

fn read_intent(row: IntentRow) -> Result<Intent> {
    let (effect_key, order_id, kind, question, calls, task, amount, currency, method) = row;
    let unknown = |name: &str| Error::damaged("a stored intent", format!("{name:?}"));
    let damaged = |error| Error::damaged("a stored payment", error);
    Ok(Intent {
        effect_key,
        order_id: OrderId::new(order_id),
        kind: Kind::from_name(&kind).ok_or_else(|| unknown(&kind))?,
        question: Question::from_name(&question).ok_or_else(|| unknown(&question))?,
        calls,
        task,
        amount: Money::from_minor(amount).map_err(damaged)?,
        currency: currency.parse().map_err(damaged)?,
        method,
    })
}

/// When the next intent falls due.
pub(crate) async fn next_due(reader: &Pool) -> Result<Option<i64>> {
    sqlx::query_scalar("SELECT min(due_at) FROM intents")
        .fetch_one(reader)
        .await
        .map_err(sql)
}

/// Writes when to call again for an intent, unless it changed since it was read.
pub(crate) async fn call_again(
    connection: &mut Connection,
    intent: &Intent,
    calls: i64,
    question: Question,
    due_at: i64,
) -> Result<()> {
    sqlx::query(
        "UPDATE intents SET calls = $3, question = $4, due_at = $5 WHERE effect_key = $1 AND calls = $2",
    )
    .bind(&intent.effect_key)
    .bind(intent.calls)
    .bind(calls)
    .bind(question.name())
    .bind(due_at)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Closes an intent. False: an undo withdrew it, or another process was faster.
pub(crate) async fn close(connection: &mut Connection, intent: &Intent) -> Result<bool> {
    let closed = sqlx::query("DELETE FROM intents WHERE effect_key = $1 AND calls = $2")
        .bind(&intent.effect_key)
        .bind(intent.calls)
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(closed.rows_affected() == 1)
}

/// Inserts the ledger entries of an operation. A second entry for an operation is an error.
pub(crate) async fn book(
    connection: &mut Connection,
    intent: &Intent,
    amount: Money,
    now: i64,
) -> Result<()> {
    for pair in ledger::entries(intent.kind, amount).chunks(2) {
        let [(account, amount), (against, counter)] = *pair else {
            return Err(Error::damaged("an operation", "its entries are no pairs"));
        };
        sqlx::query(
            "INSERT INTO ledger_entries (operation, account, order_id, amount_minor, currency, booked_at)
             VALUES ($1, $2, $3, $4, $5, $6), ($1, $7, $3, $8, $5, $6)",
        )
        .bind(&intent.effect_key)
        .bind(account)
        .bind(intent.order_id.as_str())
        .bind(amount)
        .bind(intent.currency.code())
        .bind(now)
        .bind(against)
        .bind(counter)
        .execute(&mut *connection)
        .await
        .map_err(sql)?;
    }
    Ok(())
}

/// Reads a payment for a client.
pub(crate) async fn show(reader: &Pool, order_id: &str) -> Result<Option<Payment>> {
    let found: Option<PaymentRow> = sqlx::query_as(
        "SELECT order_id, status, amount_minor, currency, payment_method, attempts, provider_ref,
                refunded_minor, customer_id
         FROM payments WHERE order_id = $1",
    )
    .bind(order_id)
    .fetch_optional(reader)
    .await
    .map_err(sql)?;
    found.map(read_payment).transpose()
}

/// A ledger entry for a client.
#[derive(Clone, Serialize, utoipa::ToSchema, Debug)]
#[schema(as = LedgerEntry)]
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
