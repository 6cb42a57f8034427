//! `/orders/{id}`: all that happened to one order, in all services, on one page that stays up to
//! date.
//!
//! | file | what |
//! |---|---|
//! | `facts` | what the services say about the order |
//! | `journal` | the entries of its saga, read |
//! | `lanes` | what each service did: pure |
//! | `scale`, `drawing` | the picture of the lanes |
//! | `sections` | the parts of the page |
//! | `returns` | what comes back, and the form that asks for it |

mod drawing;
mod facts;
mod journal;
mod lanes;
mod returns;
mod scale;
mod sections;

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    http::HeaderMap,
    response::{Redirect, Response},
    routing::{get, post},
};
use maud::html;
use serde_json::json;

use crate::{
    Pages,
    api::escaped,
    live::{self, LOOK, LOOK_AT_ENDED, Look, Since},
    page::{Area, Page, Refusal},
    time,
    visit::Visit,
};
use facts::Facts;

pub(crate) use facts::{Run, Timeline};
pub(crate) use sections::{journal_of, pretty, short};

pub(crate) fn router() -> Router<Pages> {
    Router::new()
        .route("/orders/{id}", get(show))
        .route("/orders/{id}/live", get(watch))
        .route("/orders/{id}/cancel", post(cancel))
        .route("/orders/{id}/returns", post(returns::send_back))
}

async fn show(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    visit: Visit,
) -> Result<Page, Refusal> {
    let facts = Facts::ask(&pages.api, &visit, &id).await?;
    let facts = facts.ok_or_else(|| Refusal::nothing(format!("no order {id:?}")))?;
    let parts = sections::of(&facts, time::now());
    let seen = live::seen(&parts);
    let body = html! {
        div.order data-live=(format!("/orders/{}/live?seen={seen}", escaped(&facts.order.id))) {
            @for part in &parts { (part) }
        }
    };
    let title = format!("Order {}", short(&facts.order.id));
    let page = Page::new(Area::Shop, "", title, body);
    Ok(if facts.has_ended() {
        page
    } else {
        page.refreshed(2)
    })
}

/// The parts of the page that change.
async fn watch(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    Query(since): Query<Since>,
    headers: HeaderMap,
    visit: Visit,
) -> Result<Response, Refusal> {
    if Facts::ask(&pages.api, &visit, &id).await?.is_none() {
        return Err(Refusal::nothing(format!("no order {id:?}")));
    }
    let api = pages.api.clone();
    Ok(live::stream(&pages, &since, &headers, move || {
        let (api, visit, id) = (api.clone(), visit.clone(), id.clone());
        async move {
            let facts = Facts::ask(&api, &visit, &id).await.ok().flatten()?;
            Some(Look {
                parts: sections::of(&facts, time::now()),
                // Mails and refunds may follow the end.
                pause: if facts.has_ended() {
                    LOOK_AT_ENDED
                } else {
                    LOOK
                },
            })
        }
    }))
}

#[derive(serde::Deserialize)]
struct Nothing {}

async fn cancel(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    visit: Visit,
    Form(Nothing {}): Form<Nothing>,
) -> Result<Redirect, Refusal> {
    let id = escaped(&id);
    let path = format!("/api/v1/orders/{id}/cancel");
    pages.api.post(&visit, &path, None, &json!({})).await?;
    Ok(Redirect::to(&format!("/orders/{id}")))
}
