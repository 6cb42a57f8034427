//! `/ops/sagas`: the runs of the saga, and acts on them.

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    response::Response,
    routing::{get, post},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::act::{Signed, form};
use crate::{
    Pages,
    api::escaped,
    listing::{Listed, and, status},
    order::{Run, Timeline, journal_of, short},
    page::{Area, Page, Refusal, absent},
    time::of_text,
    visit::Visit,
};

const STATUSES: [&str; 5] = ["running", "undoing", "broken", "completed", "undone"];

pub(super) fn router() -> Router<Pages> {
    Router::new()
        .route("/ops/sagas", get(list))
        .route("/ops/sagas/{run}", get(show))
        .route("/ops/sagas/{run}/retry", post(retry))
        .route("/ops/sagas/{run}/skip", post(skip))
        .route("/ops/sagas/{run}/cancel", post(cancel))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Search {
    status: String,
    step: String,
    order: String,
    overdue: String,
    before: String,
}

impl Search {
    fn query(&self, before: &str) -> String {
        and(&[
            ("status", &self.status),
            ("step", &self.step),
            ("order", &self.order),
            ("overdue", &self.overdue),
            ("before", before),
        ])
    }
}

async fn list(State(pages): State<Pages>, visit: Visit, Query(search): Query<Search>) -> Page {
    let path = format!("/api/v1/sagas?limit=50{}", search.query(&search.before));
    let found = pages.api.get::<Listed<Run>>(&visit, &path).await;
    let body = html! {
        h1 { "Sagas" }
        form.find method="get" action="/ops/sagas" role="search" {
            label { "Order id" input name="order" value=(search.order); }
            label { "Status" select name="status" {
                option value="" { "any" }
                @for status in STATUSES { option selected[search.status == status] { (status) } }
            } }
            label { "Step" input name="step" value=(search.step) placeholder="AuthorizePayment"; }
            label.sure { input type="checkbox" name="overdue" value="true" checked[search.overdue == "true"]; "overdue only" }
            button { "Search" }
        }
        @match &found {
            Ok(Some(list)) if !list.items.is_empty() => {
                (table(&list.items))
                @if let Some(next) = &list.next {
                    p { a href=(format!("/ops/sagas?{}", search.query(next))) { "Older runs" } }
                }
            }
            found => (absent(found, "No run matches."))
        }
    };
    Page::new(Area::Ops, "/ops/sagas", "Sagas", body)
}

fn table(runs: &[Run]) -> Markup {
    html! {
        div.wide { table {
            thead { tr { th { "run" } th { "order" } th { "status" } th { "waits at" } th { "since (UTC)" } th { "due (UTC)" } } }
            tbody { @for run in runs { tr {
                td { a.id href=(format!("/ops/sagas/{}", escaped(&run.id))) title=(run.id) { (short(&run.id)) } }
                td { a.id href=(format!("/orders/{}", escaped(&run.key))) title=(run.key) { (short(&run.key)) } }
                td { (status(&run.status)) @if run.is_overdue { " " strong.trouble { "overdue" } } }
                td { (run.step.as_deref().unwrap_or("–")) }
                td.time { (of_text(&run.started_at)) }
                td.time { (run.wake_at.as_deref().map(of_text).unwrap_or_default()) }
            } } }
        } }
    }
}

fn path_of(run: &str) -> String {
    format!("/ops/sagas/{}", escaped(run))
}

async fn show(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    visit: Visit,
) -> Result<Page, Refusal> {
    let path = format!("/api/v1/sagas/{}", escaped(&id));
    let timeline: Option<Timeline> = pages.api.get(&visit, &path).await?;
    let timeline = timeline.ok_or_else(|| Refusal::nothing(format!("no run {id:?}")))?;
    let run = &timeline.run;
    let body = html! {
        h1 { (run.saga) " v" (run.version) " " (status(&run.status)) @if run.is_overdue { " " span.trouble { "overdue" } } }
        dl.facts {
            dt { "run" } dd { code { (run.id) } }
            dt { "order" } dd { a href=(format!("/orders/{}", escaped(&run.key))) { code { (run.key) } } }
            dt { "since" } dd { (of_text(&run.started_at)) " UTC" }
            @if let Some(step) = &run.step { dt { "waits at" } dd { (step) } }
            @if let Some(due) = &run.wake_at { dt { "due" } dd { (of_text(due)) " UTC" } }
        }
        (acts(&visit, run))
        section { h2 { "Journal" } (journal_of(&timeline)) }
    };
    Ok(Page::new(Area::Ops, "/ops/sagas", "Saga", body))
}

/// The acts that the state of the run allows.
fn acts(visit: &Visit, run: &Run) -> Markup {
    let path = path_of(&run.id);
    let is_open = matches!(&*run.status, "running" | "undoing" | "broken");
    let nothing = html! {};
    html! {
        @if is_open {
            section {
                h2 { "Acts" }
                (form(visit, &format!("{path}/retry"), "Retry: sends what is in flight again, with the same ids", "Retry now", &nothing))
                @if let Some(step) = &run.step {
                    (form(visit, &format!("{path}/skip"), "Skip: goes on behind a step, with an answer of yours. Make sure that the service does nothing, or that its effect is what you say", "Skip the step", &html! {
                        label { "Step" input name="step" required value=(step); }
                        label.wide { "Its answer, as JSON" textarea name="result" required rows="3" { "null" } }
                    }))
                }
                @if run.status == "running" {
                    (form(visit, &format!("{path}/cancel"), "Cancel: undoes each step that has begun, unless the payment was captured", "Cancel the order", &nothing))
                }
            }
        } @else {
            p.fine { "The run has ended: there is nothing to do." }
        }
    }
}

async fn retry(
    State(pages): State<Pages>,
    Path(run): Path<String>,
    visit: Visit,
    Form(signed): Form<Signed>,
) -> Result<Response, Refusal> {
    simple(&pages, visit, &run, &signed, "retry").await
}

async fn cancel(
    State(pages): State<Pages>,
    Path(run): Path<String>,
    visit: Visit,
    Form(signed): Form<Signed>,
) -> Result<Response, Refusal> {
    simple(&pages, visit, &run, &signed, "cancel").await
}

async fn simple(
    pages: &Pages,
    visit: Visit,
    run: &str,
    signed: &Signed,
    act: &str,
) -> Result<Response, Refusal> {
    let path = format!("/api/v1/sagas/{}/{act}", escaped(run));
    let body = json!({"reason": signed.reason});
    signed.act(pages, visit, &path, &body, &path_of(run)).await
}

#[derive(Deserialize)]
struct Skip {
    step: String,
    result: String,
    #[serde(flatten)]
    signed: Signed,
}

async fn skip(
    State(pages): State<Pages>,
    Path(run): Path<String>,
    visit: Visit,
    Form(Skip {
        step,
        result,
        signed,
    }): Form<Skip>,
) -> Result<Response, Refusal> {
    let result: Value = serde_json::from_str(&result)
        .map_err(|error| Refusal::invalid(format!("the answer is no JSON: {error}")))?;
    let path = format!("/api/v1/sagas/{}/skip", escaped(&run));
    let body = json!({"step": step, "result": result, "reason": signed.reason});
    signed
        .act(&pages, visit, &path, &body, &path_of(&run))
        .await
}
