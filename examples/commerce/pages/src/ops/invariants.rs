//! `/ops/invariants`: where what has to hold is checked, over every row of every service.

use axum::{Router, routing::get};
use maud::html;

use crate::{
    Pages,
    page::{Area, Page},
};

pub(super) fn router() -> Router<Pages> {
    Router::new().route("/ops/invariants", get(show))
}

async fn show() -> Page {
    let body = html! {
        h1 { "Invariants" }
        p { "Whatever fails, they hold at the end. Type " code { "commerce verify --data DIR" } " beside the shop: it checks each invariant over every row." }
        section {
            h2 { "Scenarios" }
            p { "Type " code { "commerce demo NAME" } ", and verify again: happy-path, payment-failure, inventory-unavailable, duplicate-event, saga-timeout, concurrent-orders, poison." }
        }
    };
    Page::new(Area::Ops, "/ops/invariants", "Invariants", body)
}
