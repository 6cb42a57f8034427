//! `/ops/invariants`: what has to hold, over every row of every service.

use axum::{Router, extract::State, routing::get};
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    Pages,
    listing::status,
    page::{Area, Page, absent},
    visit::Visit,
};

pub(super) fn router() -> Router<Pages> {
    Router::new().route("/ops/invariants", get(show))
}

/// What `commerce verify --json` prints.
#[derive(Deserialize)]
struct Verdict {
    holds: bool,
    orders_in_flight: usize,
    invariants: Vec<Invariant>,
}

#[derive(Deserialize)]
struct Invariant {
    id: String,
    name: String,
    checked: usize,
    unit: String,
    holds: bool,
    offenders: Vec<String>,
}

async fn show(State(pages): State<Pages>, visit: Visit) -> Page {
    let verdict = pages.api.get::<Verdict>(&visit, "/api/v1/invariants").await;
    let body = html! {
        h1 { "Invariants " @if let Ok(Some(verdict)) = &verdict { (status(if verdict.holds { "holds" } else { "broken" })) } }
        p { "Whatever fails, these hold at the end. Every look at this page checks them again, over every row." }
        @match &verdict {
            Ok(Some(verdict)) => {
                (table(&verdict.invariants))
                p.fine { (verdict.orders_in_flight) " orders are under way: they are judged when they have ended." }
            }
            verdict => {
                (absent(verdict, "This shop does not check them while it runs."))
                p { "Type " code { "commerce verify" } " beside it." }
            }
        }
        section {
            h2 { "Scenarios" }
            p { "Type " code { "commerce demo NAME" } " and look at this page again: happy-path, payment-failure, inventory-unavailable, duplicate-event, saga-timeout, concurrent-orders, poison." }
        }
    };
    Page::new(Area::Ops, "/ops/invariants", "Invariants", body)
}

fn table(invariants: &[Invariant]) -> Markup {
    html! {
        div.wide { table {
            thead { tr { th {} th { "what has to hold" } th.number { "checked" } th {} th {} } }
            tbody { @for invariant in invariants { tr {
                td { (invariant.id) }
                td.text { (invariant.name) @for offender in invariant.offenders.iter().take(10) { br; code.trouble { (offender) } } }
                td.number { (invariant.checked) }
                td { (invariant.unit) }
                td { @if !invariant.holds { (status("broken")) } @else if invariant.checked == 0 { span.fine { "nothing to check" } } @else { (status("holds")) } }
            } } }
        } }
    }
}
