//! `/tour`: six steps through the shop.

use axum::{Router, routing::get};
use maud::{Markup, html};

use crate::{
    Pages,
    page::{Area, Page},
    shop::key,
};

pub(crate) fn router() -> Router<Pages> {
    Router::new().route("/tour", get(tour))
}

/// A button that buys one piece, paid in this way.
fn buy(way: &str, text: &str) -> Markup {
    html! {
        form method="post" action="/buy" {
            (key())
            input type="hidden" name="sku" value="SKU-001";
            button name="payment_method" value=(way) { (text) }
        }
    }
}

async fn tour() -> Page {
    let body = html! {
        h1 { "Six steps" }
        ol.tour {
            li {
                h2 { "Buy something" }
                p { "The page of the order shows what each service does, live: the saga sends commands, the services answer, the money moves." }
                (buy("pm_ok", "Buy one SKU-001"))
            }
            li {
                h2 { "Buy with a declined card" }
                p { "The stock was already held when the payment is refused. The saga takes it back, and the order ends only when that is done." }
                (buy("pm_declined", "Buy with a declined card"))
            }
            li {
                h2 { "Let the payment provider answer too late" }
                p { "Nobody knows whether the money was taken. The payment service asks the provider with the same key, and never pays twice: look at the ledger." }
                (buy("pm_late", "Buy, and hear of it late"))
            }
            li {
                h2 { "Send the same order twice" }
                p { "Place an order, go back in your browser, and send the same form again: its key is the same, so it is the same order." }
                p { a href="/" { "To the shop" } }
            }
            li {
                h2 { "Kill it" }
                p { "Type " code { "kill -9" } " and the number of the process while orders are under way, and start it again. Every order goes on where it was." }
                p { a href="/ops" { "To the operators' overview" } }
            }
            li {
                h2 { "Check everything" }
                p { "Nothing is lost, doubled or oversold. Type " code { "commerce verify --data DIR" } " beside the shop: it checks each invariant over every row." }
                p { a href="/ops/invariants" { "To the invariants" } " · " a href="/ops/dead-letters" { "to what no service could handle" } }
            }
        }
    };
    Page::new(Area::Tour, "/tour", "Tour", body)
}
