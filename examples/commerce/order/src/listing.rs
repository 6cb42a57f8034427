//! `GET /api/v1/orders`: the newest first.

use commerce_chassis::{Caller, Pool, Problem, Result, rfc3339, sql, utoipa};
use serde::{Deserialize, Serialize};

use crate::{order::Status, request::invalid};

const ITEMS: u32 = 20;
const MOST_ITEMS: u32 = 100;
/// Behind every id of an order, which is a UUID, in any collation.
const NEWEST: &str = "z";

/// The parameters of the list.
#[derive(Default, Deserialize, utoipa::IntoParams, Debug)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// Whose orders; customers see their own.
    customer_id: String,
    /// A status, such as `completed`.
    status: String,
    /// Where the page begins: `next` of the page before.
    page: String,
    /// Orders of a page at most, 1 to 100.
    limit: Option<u32>,
}

/// A page of orders, the newest first.
#[derive(Serialize, utoipa::ToSchema, Debug)]
#[schema(as = Orders)]
pub(crate) struct Page {
    items: Vec<Listed>,
    /// The parameter `page` of the next page; none = this is the last one.
    next: Option<String>,
}

/// An order in a list. The amount is in minor units.
#[derive(Serialize, utoipa::ToSchema, Debug)]
#[schema(as = ListedOrder)]
pub(crate) struct Listed {
    order_id: String,
    status: String,
    customer_id: String,
    currency: String,
    total_minor: i64,
    #[schema(format = DateTime)]
    placed_at: String,
}

/// Empty = all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Query {
    customer_id: String,
    status: String,
    before: String,
    limit: u32,
}

impl Query {
    /// What `caller` may ask for.
    pub(crate) fn read(parameters: Parameters, caller: &Caller) -> Result<Self, Problem> {
        let wrong =
            |detail: String| invalid("invalid-query", "The list cannot be asked for so", detail);
        let Parameters {
            mut customer_id,
            status,
            page,
            limit,
        } = parameters;
        for (name, text) in [("customer_id", &customer_id), ("page", &page)] {
            if text.len() > 200 {
                return Err(wrong(format!("{name}: at most 200 bytes")));
            }
        }
        if !status.is_empty() && Status::from_name(&status).is_none() {
            return Err(wrong("status: there is no such status".to_owned()));
        }
        let limit = limit.unwrap_or(ITEMS);
        if !(1..=MOST_ITEMS).contains(&limit) {
            return Err(wrong(format!("limit: 1 to {MOST_ITEMS}")));
        }
        if !caller.is_operator() {
            let named = Some(&*customer_id).filter(|named| !named.is_empty());
            customer_id = caller.acts_for(named)?;
        }
        let before = if page.is_empty() {
            NEWEST.to_owned()
        } else {
            page
        };
        Ok(Self {
            customer_id,
            status,
            before,
            limit,
        })
    }
}

const ALL: &str =
    "SELECT order_id, status, customer_id, currency, total_minor, placed_at FROM order_view
     WHERE order_id < $1 AND $2 = '' AND $3 = '' ORDER BY order_id DESC LIMIT $4 + 0";
const OF_CUSTOMER: &str = "SELECT order_id, status, customer_id, currency, total_minor, placed_at FROM order_view
     WHERE order_id < $1 AND customer_id = $2 AND ($3 = '' OR status = $3) ORDER BY order_id DESC LIMIT $4 + 0";
const OF_STATUS: &str =
    "SELECT order_id, status, customer_id, currency, total_minor, placed_at FROM order_view
     WHERE order_id < $1 AND $2 = '' AND status = $3 ORDER BY order_id DESC LIMIT $4 + 0";

/// A page of the orders that match.
pub(crate) async fn list(reader: &Pool, query: &Query) -> Result<Page> {
    // One statement for each index.
    let statement = match (&*query.customer_id, &*query.status) {
        ("", "") => ALL,
        ("", _) => OF_STATUS,
        _ => OF_CUSTOMER,
    };
    let rows: Vec<(String, String, String, String, i64, i64)> = sqlx::query_as(statement)
        .bind(&query.before)
        .bind(&query.customer_id)
        .bind(&query.status)
        // One more says whether there is a next page.
        .bind(i64::from(query.limit) + 1)
        .fetch_all(reader)
        .await
        .map_err(sql)?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let is_last = rows.len() <= limit;
    let listed = |(order_id, status, customer_id, currency, total_minor, placed_at)| Listed {
        order_id,
        status,
        customer_id,
        currency,
        total_minor,
        placed_at: rfc3339(placed_at),
    };
    let items: Vec<Listed> = rows.into_iter().take(limit).map(listed).collect();
    let last = items.last().filter(|_| !is_last);
    let next = last.map(|last| last.order_id.clone());
    Ok(Page { items, next })
}
