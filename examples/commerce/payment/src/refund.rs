//! Refunds of captured money, part of it or all: those that operators request, and those of returns.

use axum::http::StatusCode;
use commerce_chassis::{Connection, Pool, Problem, Result, rfc3339, sql, utoipa};
use commerce_contracts::{Money, OrderId, RefundKind, RefundPayment};
use mainstay_idempotency::{Answer, http};
use mainstay_inbox::HandlerError;
use mainstay_outbox::Outbox as _;
use serde::Serialize;

use crate::{
    handlers::Desk,
    intent::Kind,
    payment::{Event, returned},
    store,
};

/// A refund as an operator or a return requests it.
#[derive(Debug)]
pub(crate) struct Refund {
    pub(crate) order_id: OrderId,
    pub(crate) amount: Money,
    pub(crate) reason: String,
    pub(crate) requested_by: String,
    /// The request's `Idempotency-Key`.
    pub(crate) request_key: String,
    /// The return that requests it; none: an operator does.
    pub(crate) return_id: Option<String>,
}

/// A refund that was requested; the provider does it soon.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = RequestedRefund)]
pub(crate) struct Requested {
    refund_id: String,
    order_id: String,
    amount_minor: i64,
    status: &'static str,
}

/// Writes what is left to do at the provider, in the transaction that keeps the answer.
pub(crate) async fn request(
    tx: &mut Connection,
    refund: &Refund,
    desk: &Desk,
) -> Result<Answer, http::Problem> {
    let Some(mut payment) = store::find(tx, &refund.order_id).await? else {
        return Err(Problem::not_found("there is no payment for such an order").into());
    };
    let (refund_id, now) = (desk.new_refund_id(), desk.now());
    // The answer to a key is kept for a day, its refund for ever.
    if !insert(tx, &refund_id, refund, now).await? {
        let title = "The refund was requested before";
        let detail = "the key was used more than a day ago: use a new key for a new refund";
        return Err(Problem::new(StatusCode::CONFLICT, "refund-known", title, detail).into());
    }
    let Ok(status) = payment.status.after(Event::RefundRequested) else {
        let title = "The payment cannot be refunded now";
        let detail = format!("it is {}", payment.status.name());
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "payment.not_refundable",
            title,
            detail,
        )
        .into());
    };
    let kept = payment.kept()?;
    if refund.amount > kept {
        let title = "The refund is more than what was captured and not given back";
        let detail = format!("at most {kept} {}", payment.currency);
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "payment.refund_too_large",
            title,
            detail,
        )
        .into());
    }
    payment.status = status;
    store::save(tx, &payment, now).await?;
    // No command of the saga waits for an answer.
    let (of, task) = ((&refund.order_id, refund.amount), None::<()>);
    store::intend(tx, Kind::Refund, &refund_id, of, &task, now).await?;

    let answer = Requested {
        refund_id,
        order_id: refund.order_id.to_string(),
        amount_minor: refund.amount.minor(),
        status: "requested",
    };
    let location = format!("/api/v1/payments/{}", refund.order_id);
    Ok(Answer::json(StatusCode::ACCEPTED, &answer)?.header("location", location))
}

/// Has the money of a return given back: at most what is left. A return has one refund, whatever
/// comes twice. While the capture or another refund is under way this fails, and the message is
/// tried again.
pub(crate) async fn for_return(
    tx: &mut Connection,
    asked: RefundPayment,
    desk: &Desk,
) -> Result<(), HandlerError> {
    let RefundPayment {
        order_id,
        return_id,
        amount_minor,
        reason,
    } = asked;
    let Some(mut payment) = store::find(tx, &order_id).await? else {
        let missing = format!("order {order_id} has no payment to give back");
        return Err(HandlerError::permanent(missing));
    };
    if payment.status.is_being_captured() {
        let undecided = format!("the capture of order {order_id} is not decided");
        return Err(HandlerError::unavailable(undecided));
    }
    let kept = payment.kept().map_err(HandlerError::permanent)?;
    let (amount, now) = (amount_minor.min(kept), desk.now());
    let refund = Refund {
        amount,
        reason,
        requested_by: "order".to_owned(),
        // A client's key is printable: none is the same.
        request_key: format!("\t{return_id}"),
        return_id: Some(return_id.clone()),
        order_id,
    };
    if !insert(tx, &return_id, &refund, now).await? {
        return Ok(());
    }
    let order_id = refund.order_id;
    if amount > Money::ZERO {
        // Another refund is under way: it ends by itself, so no attempt is counted.
        let refunding = payment.status.after(Event::RefundRequested);
        payment.status = refunding.map_err(HandlerError::unavailable)?;
        store::save(tx, &payment, now).await?;
        let (of, task) = ((&order_id, amount), None::<()>);
        return Ok(store::intend(tx, Kind::Refund, &return_id, of, &task, now).await?);
    }
    finish(tx, &return_id, now).await?;
    let (kind, amounts) = (RefundKind::Refund, [amount, payment.refunded]);
    let mut nothing = returned(order_id, return_id.clone(), kind, amounts, &refund.reason);
    nothing.return_id = Some(return_id);
    Ok(desk.outbox.emit(tx, &nothing).await?)
}

/// False: the order has a refund of this key.
async fn insert(tx: &mut Connection, refund_id: &str, refund: &Refund, now: i64) -> Result<bool> {
    let inserted = sqlx::query(
        "INSERT INTO refunds (refund_id, order_id, amount_minor, reason, requested_by, requested_at, request_key, return_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(refund_id)
    .bind(refund.order_id.as_str())
    .bind(refund.amount.minor())
    .bind(&refund.reason)
    .bind(&refund.requested_by)
    .bind(now)
    .bind(&refund.request_key)
    .bind(&refund.return_id)
    .execute(tx)
    .await
    .map_err(sql)?
    .rows_affected();
    Ok(inserted == 1)
}

/// The provider gave the money back. The reason of the refund, and its return; none: nobody requested
/// it, it is an undo.
pub(crate) async fn finish(
    tx: &mut Connection,
    effect_key: &str,
    now: i64,
) -> Result<Option<(String, Option<String>)>> {
    sqlx::query_as(
        "UPDATE refunds SET refunded_at = $2 WHERE refund_id = $1 RETURNING reason, return_id",
    )
    .bind(effect_key)
    .bind(now)
    .fetch_optional(tx)
    .await
    .map_err(sql)
}

/// A refund for a client.
#[derive(Serialize, utoipa::ToSchema, Debug)]
#[schema(as = Refund)]
pub(crate) struct Shown {
    refund_id: String,
    amount_minor: i64,
    reason: String,
    /// `requested` or `refunded`.
    status: &'static str,
    #[schema(format = DateTime)]
    requested_at: String,
}

/// The refunds of an order, the oldest first.
pub(crate) async fn of_order(reader: &Pool, order_id: &str) -> Result<Vec<Shown>> {
    let found: Vec<(String, i64, String, i64, Option<i64>)> = sqlx::query_as(
        "SELECT refund_id, amount_minor, reason, requested_at, refunded_at FROM refunds
         WHERE order_id = $1 ORDER BY requested_at, refund_id",
    )
    .bind(order_id)
    .fetch_all(reader)
    .await
    .map_err(sql)?;
    let shown = |(refund_id, amount_minor, reason, requested_at, refunded_at): (
        _,
        _,
        _,
        _,
        Option<i64>,
    )| Shown {
        refund_id,
        amount_minor,
        reason,
        status: refunded_at.map_or("requested", |_| "refunded"),
        requested_at: rfc3339(requested_at),
    };
    Ok(found.into_iter().map(shown).collect())
}
