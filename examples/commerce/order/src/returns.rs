//! Returns of customers: what they ask for, the transaction that takes it, and what is shown.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use commerce_chassis::{Connection, Problem, utoipa};
use commerce_contracts::{Money, Quantity, Sku};
use mainstay_eventstore::{Aggregate as _, Recorded};
use mainstay_idempotency::{Answer, InvalidKey, Key, KeyedRequest, Scope, http};
use mainstay_messaging::Cause;
use serde::{Deserialize, Serialize};

use crate::{
    order::{Order, OrderEvent, Return, ReturnRequested, Status},
    orders::Orders,
    request::{Line, clip, invalid},
    returning::{Refusal, amount},
};

const MOST_LINES: usize = 50;
const LONGEST_REASON: usize = 200;

/// What a customer returns of an order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, Debug)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReturn)]
pub(crate) struct Body {
    /// 1 to 50 lines.
    #[schema(min_items = 1, max_items = 50)]
    lines: Vec<Line>,
    /// Why, if the customer says so; 1 to 200 printable characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200, example = "too small")]
    reason: Option<String>,
}

/// A well-formed return of an order.
#[derive(Debug)]
pub(crate) struct Asked {
    order_id: String,
    request_key: String,
    /// A SKU has one line.
    lines: Vec<Quantity>,
    reason: String,
}

impl Body {
    /// The same request under a key of the customer. Requests are the same if they say the same of the
    /// same order.
    pub(crate) fn keyed(
        &self,
        customer_id: &str,
        order_id: &str,
        key: &Key,
    ) -> Result<KeyedRequest, Problem> {
        let scope = Scope::new(customer_id, key.scope().operation());
        let key = scope.and_then(|scope| scope.key(key.text()));
        let key = key.map_err(|error: InvalidKey| wrong(error.to_string()))?;
        // Texts, numbers and lists of them always serialise.
        let text = serde_json::to_string(&(order_id, self)).unwrap_or_default();
        Ok(KeyedRequest::new(key, text))
    }

    /// Checks all that needs no table.
    pub(crate) fn read(self, order_id: String, request_key: String) -> Result<Asked, Problem> {
        if self.lines.is_empty() || self.lines.len() > MOST_LINES {
            return Err(wrong("lines: 1 to 50".to_owned()));
        }
        let mut sums: BTreeMap<Sku, i64> = BTreeMap::new();
        for Line { sku, quantity } in self.lines {
            if quantity < 1 {
                let sku = clip(sku.as_str());
                return Err(wrong(format!("{quantity} of {sku:?}: at least 1")));
            }
            let sum = sums.entry(sku).or_default();
            *sum = sum.saturating_add(quantity);
        }
        let reason = self.reason.unwrap_or_else(|| "returned".to_owned());
        let is_printable = !reason.chars().any(char::is_control);
        if !is_printable || reason.trim().is_empty() || reason.chars().count() > LONGEST_REASON {
            return Err(wrong("reason: 1 to 200 printable characters".to_owned()));
        }
        let line = |(sku, qty)| Quantity { sku, qty };
        Ok(Asked {
            order_id,
            request_key,
            lines: sums.into_iter().map(line).collect(),
            reason,
        })
    }
}

fn wrong(detail: String) -> Problem {
    invalid("invalid-return", "The return cannot be requested", detail)
}

/// A return that was requested.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = RequestedReturn)]
pub(crate) struct Requested<'a> {
    return_id: &'a str,
    order_id: &'a str,
    /// What is given back, in minor units of the order's currency; less if an operator gave back
    /// money before and less is left.
    amount_minor: i64,
    #[schema(example = "requested")]
    status: &'static str,
}

/// Takes a return, and asks for its money. A commit makes it one with its answer. The cause is the
/// request, whose trace the return's messages belong to.
pub(crate) async fn take(
    connection: &mut Connection,
    asked: &Asked,
    (orders, cause): &(Orders, Cause),
) -> Result<Answer, http::Problem> {
    let cause = cause.clone();
    cause.scope(write(connection, asked, orders)).await
}

async fn write(
    connection: &mut Connection,
    asked: &Asked,
    orders: &Orders,
) -> Result<Answer, http::Problem> {
    let order = orders.load(connection, &asked.order_id).await?;
    let mut keys = order.returns.iter().map(|it| it.request_key.as_deref());
    // The answer to a key is kept for a day, its return for ever.
    if keys.any(|key| key == Some(&*asked.request_key)) {
        let title = "The return was requested before";
        let detail = "the key was used more than a day ago: use a new key for a new return";
        return Err(conflict("return-known", title, detail).into());
    }
    let amount = amount(&order, &asked.lines).map_err(|refusal| refused(&refusal))?;
    let (return_id, status) = (orders.new_return_id(), order.status);
    let requested = ReturnRequested {
        return_id: return_id.clone(),
        request_key: asked.request_key.clone(),
        lines: asked.lines.clone(),
        amount,
        reason: asked.reason.clone(),
    };
    let appended = orders.append(connection, order, vec![requested.into()]);
    if appended.await?.is_err() {
        let title = "Only a completed order can be returned";
        let detail = format!("it is {}", status.map_or("not placed", Status::name));
        return Err(conflict("order.not_returnable", title, detail).into());
    }
    let answer = Requested {
        return_id: &return_id,
        order_id: &asked.order_id,
        amount_minor: amount.minor(),
        status: REQUESTED,
    };
    let location = format!("/api/v1/orders/{}", asked.order_id);
    Ok(Answer::json(StatusCode::ACCEPTED, &answer)?.header("location", location))
}

fn refused(refusal: &Refusal) -> Problem {
    let detail = clip(&refusal.to_string());
    match refusal {
        Refusal::NotOrdered(_) => invalid("not-ordered", "The product was not ordered", detail),
        Refusal::TooMany { .. } => {
            let title = "The return is more than what was bought and not returned";
            conflict("order.return_too_large", title, detail)
        }
        Refusal::Amount(_) => invalid("amount-overflow", "The amount is too large", detail),
    }
}

fn conflict(slug: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::CONFLICT, slug, title, detail)
}

/// The status of a return whose money was not given back yet.
const REQUESTED: &str = "requested";

/// Goods that come back. Amounts are in minor units of the order's currency.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Return)]
pub(crate) struct Shown {
    return_id: String,
    /// `requested`, or `refunded` once the money was given back.
    status: &'static str,
    reason: String,
    #[schema(value_type = Vec<Object>)]
    lines: Vec<Quantity>,
    amount_minor: i64,
    /// What was given back: less than the amount if an operator had given back money before.
    #[serde(skip_serializing_if = "Option::is_none")]
    refunded_minor: Option<i64>,
}

/// The returns of an order, the oldest first.
pub(crate) fn of_order(events: &[Recorded<OrderEvent>]) -> Vec<Shown> {
    let mut order = Order::default();
    for recorded in events {
        order.apply(&recorded.event);
    }
    let shown = |it: Return| Shown {
        return_id: it.id,
        status: it.refunded.map_or(REQUESTED, |_| "refunded"),
        reason: it.reason,
        lines: it.lines,
        amount_minor: it.amount.minor(),
        refunded_minor: it.refunded.map(Money::minor),
    };
    order.returns.into_iter().map(shown).collect()
}
