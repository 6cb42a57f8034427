//! `/ops/dead-letters`: what the services could not handle.

mod letter;

use axum::{
    Router,
    extract::{Path, Query, State},
    routing::get,
};
use maud::{Markup, html};
use serde::Deserialize;

use super::overview::Readiness;
use crate::{
    Pages,
    api::escaped,
    listing::{and, status},
    page::{Area, Page, Refusal},
    time::of_text,
    visit::Visit,
};

const STATES: [&str; 4] = ["dead", "held", "replayed", "discarded"];

pub(super) fn router() -> Router<Pages> {
    Router::new()
        .route("/ops/dead-letters", get(groups))
        .route("/ops/dead-letters/{service}", get(messages))
        .merge(letter::router())
}

/// Failures with one cause.
#[derive(Deserialize)]
struct Group {
    fingerprint: String,
    count: u64,
    more: bool,
    first_seen: String,
    last_seen: String,
    example: Letter,
}

/// A message in a queue, without its body.
#[derive(Deserialize)]
struct Letter {
    id: i64,
    consumer: String,
    position: String,
    message_id: String,
    key: Option<String>,
    kind: Option<String>,
    state: String,
    attempts: u32,
    error: Option<String>,
    fingerprint: Option<String>,
    kept_at: String,
    due_at: Option<String>,
    revision: u32,
}

#[derive(Deserialize)]
struct Part {
    items: Vec<Letter>,
    next: Option<i64>,
}

impl Letter {
    fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("not a message")
    }
}

fn page(title: &str, body: Markup) -> Page {
    Page::new(Area::Ops, "/ops/dead-letters", title, body)
}

async fn groups(State(pages): State<Pages>, visit: Visit) -> Result<Page, Refusal> {
    let ready = Readiness::ask(&pages.api, &visit).await?;
    let ready = ready.ok_or_else(|| Refusal::nothing("no service says how it is"))?;
    let mut found = Vec::new();
    for health in ready.services.iter().filter(|it| it.dead_letters.is_some()) {
        let path = format!("/api/v1/dlq/{}/groups", escaped(&health.service));
        let groups = pages.api.get::<Vec<Group>>(&visit, &path).await;
        found.push((health.service.clone(), groups));
    }
    let is_empty = |it: &_| matches!(it, Ok(Some(all)) if Vec::<Group>::is_empty(all));
    let is_quiet = !found.is_empty() && found.iter().all(|(_, it)| is_empty(it));
    let body = html! {
        h1 { "Dead letters" }
        p { "A message that a service could not handle waits here, and the later messages of its key are held behind it. Repair the cause, then replay." }
        p.chips { @for (service, _) in &found { a href=(format!("/ops/dead-letters/{}", escaped(service))) { (service) } " " } }
        @for (service, groups) in &found {
            @match groups {
                Ok(Some(groups)) if groups.is_empty() => {}
                Ok(Some(groups)) => section { h2 { (service) } (table_of_groups(service, groups)) },
                Ok(None) => {}
                Err(failed) => section { h2 { (service) } p.trouble { "Not to be had now: " (failed) } },
            }
        }
        @if found.is_empty() { p.trouble { "No service answered: nobody knows what waits." } }
        @if is_quiet { p.good { "✓ Every service has handled everything." } }
    };
    Ok(page("Dead letters", body))
}

fn table_of_groups(service: &str, groups: &[Group]) -> Markup {
    html! {
        div.wide { table {
            thead { tr { th.number { "messages" } th { "kind" } th { "error" } th { "first (UTC)" } th { "last (UTC)" } th { "example" } } }
            tbody { @for group in groups { tr {
                td.number { a href=(format!("/ops/dead-letters/{}?fingerprint={}", escaped(service), escaped(&group.fingerprint))) { (group.count) @if group.more { "+" } } }
                td { (group.example.kind()) }
                td.text { (group.example.error.as_deref().unwrap_or_default()) }
                td { (of_text(&group.first_seen)) }
                td { (of_text(&group.last_seen)) }
                td { a href=(format!("/ops/dead-letters/{}/{}", escaped(service), group.example.id)) { (service) "/" (group.example.id) } }
            } } }
        } }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Search {
    state: String,
    kind: String,
    key: String,
    fingerprint: String,
    before: String,
}

impl Search {
    fn query(&self, before: &str) -> String {
        and(&[
            ("state", &self.state),
            ("kind", &self.kind),
            ("key", &self.key),
            ("fingerprint", &self.fingerprint),
            ("before", before),
        ])
    }
}

async fn messages(
    State(pages): State<Pages>,
    Path(service): Path<String>,
    visit: Visit,
    Query(search): Query<Search>,
) -> Result<Page, Refusal> {
    let name = escaped(&service);
    let path = format!(
        "/api/v1/dlq/{name}/messages?limit=50{}",
        search.query(&search.before)
    );
    let part: Option<Part> = pages.api.get(&visit, &path).await?;
    let part = part.ok_or_else(|| Refusal::nothing(format!("no queue of {service:?}")))?;
    let body = html! {
        h1 { "Dead letters of " (service) }
        form.find method="get" role="search" {
            label { "State" select name="state" {
                option value="" { "any" }
                @for state in STATES { option selected[search.state == state] { (state) } }
            } }
            label { "Kind" input name="kind" value=(search.kind); }
            label { "Key" input name="key" value=(search.key); }
            @if !search.fingerprint.is_empty() { input type="hidden" name="fingerprint" value=(search.fingerprint); }
            button { "Search" }
        }
        @if part.items.is_empty() { p.idle { "No message matches." } } @else { div.wide { table {
            thead { tr { th { "message" } th { "state" } th { "kind" } th { "key" } th.number { "attempts" } th { "error" } th { "since (UTC)" } } }
            tbody { @for letter in &part.items { tr {
                td { a href=(format!("/ops/dead-letters/{name}/{}", letter.id)) { (service) "/" (letter.id) } }
                td { (status(&letter.state)) }
                td { (letter.kind()) }
                td { code { (letter.key.as_deref().unwrap_or("–")) } }
                td.number { (letter.attempts) }
                td.text { (letter.error.as_deref().unwrap_or_default()) }
                td { (of_text(&letter.kept_at)) }
            } } }
        } } }
        @if let Some(next) = part.next {
            p { a href=(format!("/ops/dead-letters/{name}?{}", search.query(&next.to_string()))) { "Older messages" } }
        }
    };
    Ok(page(&service, body))
}
