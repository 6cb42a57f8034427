//! One dead letter: all that is known of it, and acts on it.

use axum::{
    Form, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::{Letter, page};
use crate::{
    Pages,
    api::escaped,
    listing::status,
    ops::act::{Signed, form},
    page::{Page, Refusal},
    time::of_text,
    visit::Visit,
};

pub(super) fn router() -> Router<Pages> {
    Router::new()
        .route("/ops/dead-letters/{service}/{id}", get(show))
        .route("/ops/dead-letters/{service}/{id}/edit", post(edit))
        .route("/ops/dead-letters/{service}/{id}/{act}", post(act))
}

#[derive(Deserialize)]
struct Details {
    #[serde(flatten)]
    letter: Letter,
    unreadable: Option<String>,
    correlation_id: Option<String>,
    causation_id: Option<String>,
    headers: Vec<(String, Bytes)>,
    payload: Option<Bytes>,
    failures: Vec<Failure>,
    held: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Bytes {
    Text(String),
    Hex(String),
}

#[derive(Deserialize)]
struct Failure {
    at: String,
    kind: String,
    attempts: u32,
    error: String,
    revision: u32,
}

#[derive(Deserialize)]
struct Audit {
    items: Vec<Acted>,
}

#[derive(Deserialize)]
struct Acted {
    at: String,
    operator: String,
    reason: String,
    act: String,
    detail: String,
}

impl Bytes {
    fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Hex(hex) => format!("hex: {hex}"),
        }
    }
}

async fn show(
    State(pages): State<Pages>,
    Path((service, id)): Path<(String, i64)>,
    visit: Visit,
) -> Result<Page, Refusal> {
    let queue = format!("/api/v1/dlq/{}", escaped(&service));
    let (message, audit) = (
        format!("{queue}/messages/{id}"),
        format!("{queue}/audit?message={id}"),
    );
    let (details, audit) = tokio::join!(
        pages.api.get::<Details>(&visit, &message),
        pages.api.get::<Audit>(&visit, &audit),
    );
    let details = details?.ok_or_else(|| Refusal::nothing(format!("no message {service}/{id}")))?;
    let audit = audit?.map(|audit| audit.items).unwrap_or_default();
    let letter = &details.letter;
    let body = html! {
        h1 { (service) "/" (id) " " (status(&letter.state)) }
        (facts(&details))
        section { h2 { "Failures" } (failures(&details.failures)) }
        section {
            h2 { "Body" @if letter.revision > 0 { " (edited, revision " (letter.revision) ")" } }
            @match &details.payload { Some(payload) => pre { (payload.shown()) }, None => p.idle { "none" } }
        }
        (acts(&visit, &service, &details))
        section { h2 { "Who did what" } (acted(&audit)) }
    };
    Ok(page(&format!("{service}/{id}"), body))
}

fn facts(details: &Details) -> Markup {
    let letter = &details.letter;
    html! {
        dl.facts {
            dt { "kind" } dd { (letter.kind()) }
            dt { "key" } dd { code { (letter.key.as_deref().unwrap_or("none")) } }
            dt { "consumer" } dd { (letter.consumer) }
            dt { "message" } dd { code { (letter.message_id) } }
            dt { "read at" } dd { code { (letter.position) } }
            dt { "since" } dd { (of_text(&letter.kept_at)) " UTC" }
            dt { "attempts" } dd { (letter.attempts) }
            dt { "held behind it" } dd { (details.held) }
            @if let Some(due) = &letter.due_at { dt { "tried next" } dd { (of_text(due)) " UTC" } }
            @if let Some(why) = &details.unreadable { dt { "unreadable" } dd { (why) } }
            @if let Some(id) = &details.correlation_id { dt { "correlation" } dd { code { (id) } } }
            @if let Some(id) = &details.causation_id { dt { "caused by" } dd { code { (id) } } }
            @if let Some(print) = &letter.fingerprint { dt { "fingerprint" } dd { code { (print) } } }
            @for (name, value) in &details.headers { dt { "header " (name) } dd { code { (value.shown()) } } }
        }
    }
}

fn failures(failures: &[Failure]) -> Markup {
    html! {
        @if failures.is_empty() { p.idle { "None: it is held behind another message." } }
        @for failure in failures {
            p { (of_text(&failure.at)) " UTC · " (failure.kind) " · revision " (failure.revision) ", " (failure.attempts) " attempts" br; code { (failure.error) } }
        }
    }
}

fn acted(audit: &[Acted]) -> Markup {
    html! {
        @if audit.is_empty() { p.idle { "Nobody has done anything." } } @else { div.wide { table {
            thead { tr { th { "when (UTC)" } th { "who" } th { "act" } th { "reason" } th { "detail" } } }
            tbody { @for entry in audit { tr {
                td { (of_text(&entry.at)) } td { (entry.operator) } td { (entry.act) } td { (entry.reason) } td { (entry.detail) }
            } } }
        } } }
    }
}

/// The acts that the state of the message allows.
fn acts(visit: &Visit, service: &str, details: &Details) -> Markup {
    let letter = &details.letter;
    let path = format!("/ops/dead-letters/{}/{}", escaped(service), letter.id);
    let to = |act: &str| format!("{path}/{act}");
    let nothing = html! {};
    let (is_dead, is_kept) = (
        letter.state == "dead",
        matches!(&*letter.state, "dead" | "held"),
    );
    html! {
        section {
            h2 { "Acts" }
            @if is_dead {
                (form(visit, &to("replay"), "Replay: the service handles it again; what is held behind it follows", "Replay", &nothing))
            }
            @if let (true, Some(Bytes::Text(payload)), None) = (is_kept, &details.payload, &details.unreadable) {
                (form(visit, &to("edit"), "Edit: the original is kept", "Save the body", &html! {
                    input type="hidden" name="revision" value=(letter.revision);
                    label.wide { "Body" textarea rows="12" name="payload" required spellcheck="false" { (payload) } }
                }))
            }
            @if is_kept {
                (form(visit, &to("discard"), "Discard: its effect is never made; it can be restored", "Discard", &nothing))
            }
            @if letter.state == "discarded" {
                (form(visit, &to("restore"), "Restore: it is a dead letter again, and blocks its key", "Restore", &nothing))
            }
            @if letter.state == "replayed" { p.fine { "Its effect is made: there is nothing to do." } }
        }
    }
}

/// Acts that need nothing but a signature.
async fn act(
    State(pages): State<Pages>,
    Path((service, id, act)): Path<(String, i64, String)>,
    visit: Visit,
    Form(signed): Form<Signed>,
) -> Result<Response, Refusal> {
    if !["replay", "discard", "restore"].contains(&&*act) {
        return Err(Refusal::nothing(format!("no act {act:?}")));
    }
    let service = escaped(&service);
    let path = format!("/api/v1/dlq/{service}/messages/{id}/{act}");
    let then = format!("/ops/dead-letters/{service}/{id}");
    let body = json!({"reason": signed.reason});
    signed.act(&pages, visit, &path, &body, &then).await
}

#[derive(Deserialize)]
struct Edit {
    /// Texts: with a flattened part, every field of a form is one.
    revision: String,
    payload: String,
    #[serde(flatten)]
    signed: Signed,
}

async fn edit(
    State(pages): State<Pages>,
    Path((service, id)): Path<(String, i64)>,
    visit: Visit,
    Form(edit): Form<Edit>,
) -> Result<Response, Refusal> {
    let revision: u32 = edit.revision.parse().map_err(|_| {
        Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "The form is not complete",
            "no revision",
        )
    })?;
    let service = escaped(&service);
    let path = format!("/api/v1/dlq/{service}/messages/{id}/edit");
    let then = format!("/ops/dead-letters/{service}/{id}");
    let (payload, reason) = (&edit.payload, &edit.signed.reason);
    let body = json!({"revision": revision, "payload": payload, "reason": reason});
    edit.signed.act(&pages, visit, &path, &body, &then).await
}
