//! The payment of an order, its ledger and its refunds, and the provider's webhook.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRef, State},
    http::StatusCode,
    response::Response,
};
use commerce_chassis::{
    Caller, OpenApiRouter, PathParam, Problem, Records, Refused, Signatures, Signed, WebhookSecret,
    routes, utoipa,
};
use commerce_contracts::{Money, OrderId};
use mainstay_idempotency::{Keyed, http};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::{
    outcome::{Books, Told},
    payment::{Payment, payment_id},
    psp::Answer,
    refund::{self, Refund},
    store,
};

/// Characters of a reason or a reference at most.
const LONGEST_TEXT: usize = 200;

/// What the routes need. Clones are the same.
#[derive(Clone)]
pub(crate) struct Counter {
    pub(crate) books: Books,
    pub(crate) records: Records,
    pub(crate) psp: WebhookSecret,
    /// Wakes the settling of intents.
    pub(crate) work: Arc<Notify>,
}

impl FromRef<Counter> for Signatures {
    fn from_ref(counter: &Counter) -> Self {
        Self::new(counter.psp.clone(), Arc::clone(&counter.books.desk.clock))
    }
}

pub(crate) fn router(counter: Counter) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(ledger))
        .routes(routes!(ledger_of_payment))
        .routes(routes!(give_back))
        .routes(routes!(told))
        .with_state(counter)
}

/// A payment. Amounts are in minor units of the currency.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Payment)]
struct Shown {
    payment_id: String,
    order_id: String,
    status: &'static str,
    amount_minor: i64,
    refunded_minor: i64,
    currency: &'static str,
    payment_method: String,
    provider_ref: Option<String>,
    refunds: Vec<refund::Shown>,
}

/// What was booked for an order.
#[derive(Serialize, utoipa::ToSchema)]
struct Ledger {
    order_id: String,
    entries: Vec<store::Entry>,
}

/// The payment of an order.
#[utoipa::path(get, path = "/api/v1/payments/{order_id}", operation_id = "show_payment", tag = "payment",
    params(("order_id" = String, Path)), responses((status = OK, body = Shown), Refused))]
async fn show(
    State(counter): State<Counter>,
    caller: Caller,
    PathParam(order_id): PathParam,
) -> Result<Json<Shown>, Problem> {
    let payment = counter.find(&caller, &order_id).await?;
    let reader = counter.books.db.reader();
    Ok(Json(Shown {
        payment_id: payment_id(&payment.order_id),
        status: payment.status.name(),
        amount_minor: payment.amount.minor(),
        refunded_minor: payment.refunded.minor(),
        currency: payment.currency.code(),
        payment_method: payment.method,
        provider_ref: payment.provider_ref,
        refunds: refund::of_order(reader, &order_id).await?,
        order_id,
    }))
}

/// What was booked for an order.
#[utoipa::path(get, path = "/api/v1/ledger/{order_id}", operation_id = "show_ledger", tag = "payment",
    params(("order_id" = String, Path)), responses((status = OK, body = Ledger), Refused))]
async fn ledger(
    State(counter): State<Counter>,
    caller: Caller,
    PathParam(order_id): PathParam,
) -> Result<Json<Ledger>, Problem> {
    counter.find(&caller, &order_id).await?;
    let entries = store::entries(counter.books.db.reader(), &order_id).await?;
    Ok(Json(Ledger { order_id, entries }))
}

/// What was booked for an order, under its payment.
#[utoipa::path(get, path = "/api/v1/payments/{order_id}/ledger", operation_id = "show_ledger_of_payment", tag = "payment",
    params(("order_id" = String, Path)), responses((status = OK, body = Ledger), Refused))]
async fn ledger_of_payment(
    counter: State<Counter>,
    caller: Caller,
    order_id: PathParam,
) -> Result<Json<Ledger>, Problem> {
    ledger(counter, caller, order_id).await
}

impl Counter {
    /// The payment of an order that the caller may see.
    async fn find(&self, caller: &Caller, order_id: &str) -> Result<Payment, Problem> {
        let payment = store::show(self.books.db.reader(), order_id).await?;
        let is_seen = |payment: &Payment| match &payment.customer_id {
            Some(owner) => caller.may_see(owner),
            None => caller.is_operator(),
        };
        let payment = payment.filter(is_seen);
        payment.ok_or_else(|| Problem::not_found("there is no payment for such an order"))
    }
}

/// How much of a captured payment is given back, and why.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = RefundRequest)]
struct Asked {
    /// In minor units of the payment's currency.
    #[schema(minimum = 1)]
    amount_minor: i64,
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

/// Gives captured money back. One refund per key, and one answer; a payment has one refund under way
/// at a time.
#[utoipa::path(post, path = "/api/v1/payments/{order_id}/refunds", operation_id = "refund_payment", tag = "payment",
    params(("order_id" = String, Path), ("Idempotency-Key" = String, Header)),
    request_body = Asked, responses((status = ACCEPTED, body = refund::Requested), Refused))]
async fn give_back(
    State(counter): State<Counter>,
    caller: Caller,
    PathParam(order_id): PathParam,
    asked: Keyed<Asked>,
) -> Result<Response, http::Problem> {
    caller.require_operator()?;
    let key = asked.request.key.text().to_owned();
    let refund = asked.try_map(|asked| read(asked, order_id, key, &caller))?;
    let Counter {
        books,
        records,
        work,
        ..
    } = counter;
    let answered = refund.run_with(&records, books.desk, refund::request).await;
    work.notify_one();
    answered
}

fn read(
    asked: Asked,
    order_id: String,
    request_key: String,
    caller: &Caller,
) -> Result<Refund, Problem> {
    let amount = Money::from_minor(asked.amount_minor);
    let amount = amount.ok().filter(|amount| *amount > Money::ZERO);
    let is_text = is_text(&asked.reason);
    let (Some(amount), true) = (amount, is_text) else {
        let detail = "amount_minor: at least 1; reason: 1 to 200 printable characters";
        return Err(invalid(
            "invalid-refund",
            "The refund cannot be requested",
            detail,
        ));
    };
    Ok(Refund {
        order_id: OrderId::new(order_id),
        amount,
        reason: asked.reason,
        requested_by: caller.user_id().unwrap_or("anybody").to_owned(),
        request_key,
        return_id: None,
    })
}

fn is_text(text: &str) -> bool {
    let is_printable = !text.chars().any(char::is_control);
    is_printable && !text.trim().is_empty() && text.chars().count() <= LONGEST_TEXT
}

fn invalid(slug: &'static str, title: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, slug, title, detail)
}

/// What the provider tells of an operation.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = ProviderReport)]
struct Report {
    /// The key that we named when we asked for the operation.
    effect_key: String,
    outcome: Ending,
    /// The provider's name for the operation, if it is done.
    reference: Option<String>,
    /// What was held, captured or given back, if it is done; in minor units.
    amount_minor: Option<i64>,
}

#[derive(Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProviderOutcome)]
enum Ending {
    Done,
    Declined,
    RequiresAction,
    Unavailable,
}

/// What became of a report.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ReportReceipt)]
struct Heard {
    /// Whether it settled the operation; no, if that was settled before, or is none of ours.
    settled: bool,
}

/// The payment provider's webhook. A report that comes twice, or behind the answer to a call, is
/// answered and changes nothing.
#[utoipa::path(post, path = "/api/v1/webhooks/psp", operation_id = "psp_webhook", tag = "payment",
    params(("webhook-id" = String, Header), ("webhook-timestamp" = String, Header), ("webhook-signature" = String, Header)),
    request_body = Report, responses((status = OK, body = Heard), Refused))]
async fn told(
    State(counter): State<Counter>,
    report: Signed<Report>,
) -> Result<Json<Heard>, Problem> {
    let Report {
        effect_key,
        outcome,
        reference,
        amount_minor,
    } = report.body;
    let wrong = |detail| invalid("invalid-report", "The report cannot be taken", detail);
    let answer = match outcome {
        Ending::Declined => Answer::Declined,
        Ending::RequiresAction => Answer::RequiresAction,
        Ending::Unavailable => Answer::Unavailable,
        Ending::Done => {
            let reference = reference.filter(|reference| is_text(reference));
            let amount = amount_minor.and_then(|minor| Money::from_minor(minor).ok());
            let amount = amount.filter(|amount| *amount >= Money::ZERO);
            let (Some(reference), Some(amount)) = (reference, amount) else {
                return Err(wrong("done: needs its reference and its amount_minor"));
            };
            Answer::Done { reference, amount }
        }
    };
    if effect_key.contains('\0') {
        return Ok(Json(Heard { settled: false }));
    }
    match counter.books.tell(&effect_key, &answer).await? {
        Told::WrongAmount => Err(wrong("amount_minor: it is not the amount of the operation")),
        told => Ok(Json(Heard {
            settled: told == Told::Settled,
        })),
    }
}
