//! `/ops` and `/ops/health`: how the services are.

use axum::{Router, extract::State, routing::get};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Pages,
    api::{Api, Failed},
    listing::status,
    order::pretty,
    page::{Area, Page, Refusal, absent},
    visit::Visit,
};

pub(super) fn router() -> Router<Pages> {
    Router::new()
        .route("/ops", get(overview))
        .route("/ops/health", get(health))
}

/// How the services are.
#[derive(Deserialize, Debug)]
pub(super) struct Readiness {
    status: String,
    pub(super) services: Vec<Health>,
}

#[derive(Deserialize, Debug)]
pub(super) struct Health {
    pub(super) service: String,
    healthy: bool,
    /// Why a service of another process says nothing.
    error: Option<String>,
    /// None = it says nothing, or not to this visitor.
    outbox: Option<Outbox>,
    inbox: Option<Inbox>,
    pub(super) dead_letters: Option<Queue>,
    #[serde(default)]
    leaders: Vec<Leader>,
}

#[derive(Deserialize, Debug)]
struct Outbox {
    activity: String,
    blocked_keys: u64,
    oldest_unpublished_seconds: f64,
    last_error: Option<String>,
}

#[derive(Deserialize, Debug)]
struct Inbox {
    running: bool,
    last_error: Option<String>,
    blocked_keys: Vec<Value>,
}

#[derive(Deserialize, Debug)]
pub(super) struct Queue {
    running: bool,
    last_error: Option<String>,
    dead: u64,
    held: u64,
}

#[derive(Deserialize, Debug)]
struct Leader {
    work: String,
    leads: bool,
    last_error: Option<String>,
}

/// Runs of the saga that have not ended.
#[derive(Deserialize, Debug)]
struct Counts {
    running: u64,
    undoing: u64,
    broken: u64,
    overdue: u64,
}

impl Readiness {
    pub(super) async fn ask(api: &Api, visit: &Visit) -> Result<Option<Self>, Failed> {
        api.get(visit, "/readyz").await
    }
}

impl Health {
    fn errors(&self) -> Vec<(&str, &str)> {
        let inbox = self.inbox.as_ref().and_then(|it| it.last_error.as_deref());
        let queue = self.dead_letters.as_ref();
        let queue = queue.and_then(|it| it.last_error.as_deref());
        let own = [
            ("service", self.error.as_deref()),
            (
                "outbox",
                self.outbox.as_ref().and_then(|it| it.last_error.as_deref()),
            ),
            ("inbox", inbox),
            ("dead letters", queue),
        ];
        let leaders = self.leaders.iter();
        let leaders = leaders.map(|it| (&*it.work, it.last_error.as_deref()));
        let all = own.into_iter().chain(leaders);
        all.filter_map(|(what, error)| Some((what, error?)))
            .collect()
    }
}

/// A count that was counted up to 10,000.
fn capped(count: u64) -> String {
    if count >= 10_000 {
        "10 000+".to_owned()
    } else {
        count.to_string()
    }
}

async fn overview(State(pages): State<Pages>, visit: Visit) -> Result<Page, Refusal> {
    let (ready, counts) = tokio::join!(
        Readiness::ask(&pages.api, &visit),
        pages.api.get::<Counts>(&visit, "/api/v1/sagas/counts"),
    );
    let ready = ready?.ok_or_else(|| Refusal::nothing("no service says how it is"))?;
    let body = html! {
        h1 { "Overview " (status(&ready.status)) }
        section {
            h2 { "Services" }
            div.wide { (services(&ready.services)) }
            p.fine { "A service needs you if it has dead letters, blocked keys, sagas that stand still, or an error." }
        }
        section {
            h2 { "Sagas under way" }
            @match &counts {
                Ok(Some(counts)) => {
                    dl.facts {
                        @for (name, count) in [("running", counts.running), ("undoing", counts.undoing), ("broken", counts.broken)] {
                            dt { a href=(format!("/ops/sagas?status={name}")) { (name) } } dd { (capped(count)) }
                        }
                        dt { a href="/ops/sagas?overdue=true" { "overdue" } } dd { (capped(counts.overdue)) }
                    }
                }
                counts => (absent(counts, "This shop does not count them."))
            }
        }
    };
    Ok(Page::new(Area::Ops, "/ops", "Overview", body))
}

fn services(services: &[Health]) -> Markup {
    html! {
        table {
            thead { tr {
                th { "service" } th {} th { "outbox" } th.number { "oldest unsent" } th.number { "blocked keys" } th { "inbox" }
                th.number { "dead" } th.number { "held" } th { "leads" }
            } }
            tbody {
                @for health in services {
                    tr {
                        td { (health.service) }
                        td { (status(if health.healthy { "ok" } else { "attention" })) }
                        @if let Some(outbox) = &health.outbox {
                            td { (outbox.activity) }
                            td.number { (format!("{:.1} s", outbox.oldest_unpublished_seconds)) }
                            td.number { (outbox.blocked_keys + health.inbox.as_ref().map_or(0, |it| it.blocked_keys.len() as u64)) }
                        } @else { td { "–" } td.number { "–" } td.number { "–" } }
                        td { (running(health.inbox.as_ref().map(|it| it.running))) }
                        @if let Some(queue) = &health.dead_letters {
                            td.number { a href=(format!("/ops/dead-letters/{}?state=dead", health.service)) { (capped(queue.dead)) } }
                            td.number { (capped(queue.held)) }
                        } @else { td.number { "–" } td.number { "–" } }
                        td { @for leader in health.leaders.iter().filter(|it| it.leads) { (leader.work) " " } }
                    }
                }
            }
        }
    }
}

fn running(is: Option<bool>) -> &'static str {
    match is {
        Some(true) => "running",
        Some(false) => "stopped",
        None => "–",
    }
}

async fn health(State(pages): State<Pages>, visit: Visit) -> Result<Page, Refusal> {
    let ready: Value = pages
        .api
        .get(&visit, "/readyz")
        .await?
        .ok_or_else(|| Refusal::nothing("no service says how it is"))?;
    let known = Readiness::deserialize(&ready).ok();
    let services = known.map(|it| it.services).unwrap_or_default();
    let body = html! {
        h1 { "Health" }
        div.cards {
            @for health in &services {
                section {
                    h2 { (health.service) " " (status(if health.healthy { "ok" } else { "attention" })) }
                    dl.facts {
                        dt { "relay" } dd { (health.outbox.as_ref().map_or("–", |it| &*it.activity)) }
                        dt { "worker" } dd { (running(health.inbox.as_ref().map(|it| it.running))) }
                        dt { "replayer" } dd { (running(health.dead_letters.as_ref().map(|it| it.running))) }
                        @for leader in &health.leaders { dt { (leader.work) } dd { @if leader.leads { "leads" } @else { "stands by" } } }
                        @for (what, error) in health.errors() { dt.trouble { "error of " (what) } dd.trouble { (error) } }
                    }
                }
            }
        }
        details id="raw" { summary { "As programs read it: " code { "/readyz" } } pre { (pretty(&ready)) } }
    };
    Ok(Page::new(Area::Ops, "/ops/health", "Health", body))
}
