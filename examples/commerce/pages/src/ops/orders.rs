//! `/ops/orders`: search.

use axum::{
    Router,
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use maud::html;
use serde::Deserialize;

use crate::{
    Pages,
    api::escaped,
    listing::{self, and},
    page::{Area, Page, absent},
    visit::Visit,
};

const SHOWN: usize = 50;
const STATUSES: [&str; 10] = [
    "placed",
    "stock_reserved",
    "payment_authorized",
    "confirmed",
    "fulfilling",
    "captured",
    "dispatched",
    "completed",
    "cancelling",
    "cancelled",
];

pub(super) fn router() -> Router<Pages> {
    Router::new().route("/ops/orders", get(search))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Search {
    id: String,
    customer: String,
    status: String,
    sku: String,
    before: String,
}

async fn search(
    State(pages): State<Pages>,
    visit: Visit,
    Query(search): Query<Search>,
) -> Response {
    if !search.id.trim().is_empty() {
        return Redirect::to(&format!("/orders/{}", escaped(search.id.trim()))).into_response();
    }
    let query = [
        ("customer_id", &*search.customer),
        ("status", &*search.status),
        ("sku", &*search.sku),
        ("before", &*search.before),
    ];
    let found = listing::orders(&pages.api, &visit, &query, SHOWN).await;
    let body = html! {
        h1 { "Orders" }
        form.find method="get" action="/ops/orders" role="search" {
            label { "Order id" input name="id" value=(search.id); }
            label { "Customer" input.short name="customer" value=(search.customer); }
            label { "Status" select name="status" {
                option value="" { "any" }
                @for status in STATUSES { option value=(status) selected[search.status == status] { (status.replace('_', " ")) } }
            } }
            label { "SKU" input.short name="sku" value=(search.sku); }
            button { "Search" }
        }
        @match &found {
            Ok(Some(list)) if !list.items.is_empty() => {
                (listing::table(&list.items))
                @if let Some(next) = &list.next {
                    p { a href=(format!("/ops/orders?customer={}{}", escaped(&search.customer), and(&[("status", &search.status), ("sku", &search.sku), ("before", next)]))) { "Older orders" } }
                }
            }
            found => (absent(found, "No order matches."))
        }
    };
    Page::new(Area::Ops, "/ops/orders", "Orders", body).into_response()
}
