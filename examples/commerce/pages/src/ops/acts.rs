//! `/ops/acts`: who did what, why and when.

use axum::{Router, extract::State, routing::get};
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    Pages,
    order::short,
    page::{Area, Page, Refusal},
    time::of_text,
    visit::Visit,
};

pub(super) fn router() -> Router<Pages> {
    Router::new().route("/ops/acts", get(show))
}

/// An act, as it was recorded.
#[derive(Deserialize, Debug)]
struct Entry {
    at: String,
    operator: String,
    act: String,
    object: String,
    reason: String,
    /// The page of what it was done to.
    page: Option<String>,
}

async fn show(State(pages): State<Pages>, visit: Visit) -> Result<Page, Refusal> {
    let acts: Option<Vec<Entry>> = pages.api.get(&visit, "/console/acts").await?;
    let body = html! {
        h1 { "Acts" }
        p { "Whoever changes something gives a name and a reason. Both are recorded with the act." }
        @match &acts {
            Some(acts) if acts.is_empty() => p.idle { "Nobody has done anything." },
            Some(acts) => (table(acts)),
            None => {
                p { "This process does not run the whole shop. Type, beside it:" }
                ul {
                    li { code { "commerce dlq audit" } " for acts on dead letters," }
                    li { code { "commerce outbox audit" } " for those on refused messages," }
                    li { code { "commerce saga show ORDER" } " for those on the saga of an order." }
                }
            }
        }
    };
    Ok(Page::new(Area::Ops, "/ops/acts", "Acts", body))
}

fn table(acts: &[Entry]) -> Markup {
    html! {
        div.wide { table {
            thead { tr { th { "when (UTC)" } th { "who" } th { "act" } th { "on" } th { "reason" } } }
            tbody { @for act in acts { tr {
                td.time { (of_text(&act.at)) } td { (act.operator) } td { (act.act) }
                td { @if let Some(page) = &act.page { a href=(page) title=(act.object) { (shortened(&act.object)) } } @else { (act.object) } }
                td.text { (act.reason) }
            } } }
        } }
    }
}

/// A text whose ids are shortened.
fn shortened(text: &str) -> String {
    let words: Vec<_> = text.split(' ').map(short).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_shortened_and_words_are_not() {
        let saga = "saga 01a22a44-9eda-7212-883d-b2592be8f0b2";
        assert_eq!(shortened(saga), "saga 01a22a44…f0b2");
        assert_eq!(shortened("dead letter order/7"), "dead letter order/7");
    }
}
