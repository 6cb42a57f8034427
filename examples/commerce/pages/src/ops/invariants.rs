//! `/ops/invariants`: what has to hold is checked over every row of every service, and scenarios are
//! played, both live. A process that does not run the whole shop says what to type instead.

use axum::{
    Form, Router,
    extract::{Query, State},
    http::HeaderMap,
    response::{Redirect, Response},
    routing::{get, post},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::act::{Signed, signature};
use crate::{
    Pages,
    api::{Api, Failed, escaped},
    listing::status,
    live::{self, LOOK, LOOK_AT_ENDED, Look, Since},
    page::{Area, Page, Refusal},
    time::of_text,
    visit::Visit,
};

const CHECK: &str = "/console/check";
const SCENARIOS: &str = "/console/scenarios";
/// Offenders of an invariant that are shown.
const SHOWN: usize = 10;

pub(super) fn router() -> Router<Pages> {
    Router::new()
        .route("/ops/invariants", get(show))
        .route("/ops/invariants/live", get(watch))
        .route("/ops/invariants/check", post(check))
        .route("/ops/invariants/play", post(play))
}

/// The latest check.
#[derive(Deserialize, Debug)]
struct Check {
    running: bool,
    progress: Option<String>,
    ended_at: Option<String>,
    verdict: Option<Verdict>,
    failure: Option<String>,
}

#[derive(Deserialize, Debug)]
struct Verdict {
    holds: bool,
    orders_in_flight: u64,
    dead_letters: Waiting,
    invariants: Vec<Invariant>,
}

#[derive(Deserialize, Debug)]
struct Waiting {
    dead: u64,
    held: u64,
}

#[derive(Deserialize, Debug)]
struct Invariant {
    id: String,
    name: String,
    checked: u64,
    unit: String,
    holds: bool,
    offenders: Vec<String>,
}

#[derive(Deserialize, Debug)]
struct Scenarios {
    scenarios: Vec<Scenario>,
    played: Played,
}

#[derive(Deserialize, Debug)]
struct Scenario {
    name: String,
    what: String,
}

/// The latest scenario.
#[derive(Deserialize, Debug)]
struct Played {
    running: bool,
    scenario: String,
    lines: Vec<String>,
    held: Option<bool>,
    failure: Option<String>,
}

/// What this process can do; none of it where it does not run the whole shop.
struct Console {
    check: Option<Check>,
    scenarios: Option<Scenarios>,
}

impl Console {
    async fn ask(api: &Api, visit: &Visit) -> Result<Self, Failed> {
        let (check, scenarios) = tokio::join!(api.get(visit, CHECK), api.get(visit, SCENARIOS));
        Ok(Self {
            check: check?,
            scenarios: scenarios?,
        })
    }

    fn is_busy(&self) -> bool {
        self.check.as_ref().is_some_and(|it| it.running)
            || self.scenarios.as_ref().is_some_and(|it| it.played.running)
    }

    fn parts(&self) -> Vec<Markup> {
        vec![
            checked(self.check.as_ref()),
            played(self.scenarios.as_ref()),
        ]
    }
}

async fn show(State(pages): State<Pages>, visit: Visit) -> Result<Page, Refusal> {
    let console = Console::ask(&pages.api, &visit).await?;
    let parts = console.parts();
    let seen = live::seen(&parts);
    let body = html! {
        h1 { "Invariants" }
        p { "Whatever fails, they hold at the end." }
        div data-live=(format!("/ops/invariants/live?seen={seen}")) {
            @if console.check.is_some() {
                form.find method="post" action="/ops/invariants/check" {
                    button { "Check every row of every service" }
                    span.fine { "As " code { "commerce verify --data DIR" } " does beside the shop." }
                }
            } @else {
                p { "Type " code { "commerce verify --data DIR" } " beside the shop, with the servers that it was started with: it checks each invariant over every row." }
            }
            (parts[0])
            section {
                h2 { "Scenarios" }
                @if let Some(scenarios) = &console.scenarios { (choices(&visit, &scenarios.scenarios)) }
                @else { p { "Type " code { "commerce demo NAME" } ", and verify again: happy-path, payment-failure, inventory-unavailable, duplicate-event, saga-timeout, concurrent-orders, poison." } }
            }
            (parts[1])
        }
    };
    let page = Page::new(Area::Ops, "/ops/invariants", "Invariants", body);
    Ok(if console.is_busy() {
        page.refreshed(2)
    } else {
        page
    })
}

/// A button for each scenario, signed once.
fn choices(visit: &Visit, scenarios: &[Scenario]) -> Markup {
    html! {
        form.act method="post" action="/ops/invariants/play" {
            strong.wide { "A scenario places orders of its own. Check every row again behind it" }
            (signature(visit))
            dl.choices {
                @for scenario in scenarios {
                    dt { button name="scenario" value=(scenario.name) { (scenario.name) } }
                    dd { (scenario.what) }
                }
            }
        }
    }
}

fn checked(check: Option<&Check>) -> Markup {
    html! {
        section #checked aria-live="polite" {
            @if let Some(check) = check {
                @if check.running {
                    p { "Checking … " @if let Some(progress) = &check.progress { span.fine { (progress) } } }
                }
                @if let Some(failure) = &check.failure { p.trouble { "It could not be checked: " (failure) } }
                @if let Some(verdict) = &check.verdict { (told(verdict, check.ended_at.as_deref())) }
            }
        }
    }
}

fn told(verdict: &Verdict, at: Option<&str>) -> Markup {
    let Waiting { dead, held } = verdict.dead_letters;
    html! {
        p {
            (status(if verdict.holds { "holds" } else { "broken" }))
            @if let Some(at) = at { " at " (of_text(at)) " UTC" }
            ", with " (verdict.orders_in_flight) " orders in flight"
            @if dead + held > 0 { ", " a href="/ops/dead-letters" { (dead) " dead letters and " (held) " held behind them" } }
        }
        div.wide { table.invariants {
            thead { tr { th {} th {} th { "what has to hold" } th.number { "checked" } th {} } }
            tbody { @for it in &verdict.invariants {
                tr {
                    td { (it.id) }
                    td { (status(if !it.holds { "broken" } else if it.checked == 0 { "nothing to check" } else { "holds" })) }
                    td { (it.name) } td.number { (it.checked) } td { (it.unit) }
                }
                @if !it.holds { tr { td {} td.text colspan="4" { ul.offenders {
                    @for offender in it.offenders.iter().take(SHOWN) { li { (linked(offender)) } }
                    @if it.offenders.len() > SHOWN { li { "and " (it.offenders.len() - SHOWN) " more" } }
                } } } }
            } }
        } }
    }
}

/// An offender, in which each order has a link to its page.
fn linked(offender: &str) -> Markup {
    let mut is_order = false;
    html! {
        @for word in offender.split_inclusive(' ') {
            @let id = word.trim_end();
            @if std::mem::replace(&mut is_order, id == "order") && id.len() > 16 {
                a href=(format!("/orders/{}", escaped(id))) { (id) } " "
            } @else { (word) }
        }
    }
}

fn played(scenarios: Option<&Scenarios>) -> Markup {
    let played = scenarios
        .map(|it| &it.played)
        .filter(|it| !it.scenario.is_empty());
    html! {
        section #played aria-live="polite" {
            @if let Some(played) = played {
                h2 { (played.scenario) " " @match played.held {
                    Some(true) => (status("ok")),
                    Some(false) => (status("broken")),
                    None if played.running => (status("running")),
                    None => {}
                } }
                ul.story { @for line in &played.lines { (step(line)) } }
                @if let Some(failure) = &played.failure { p.trouble { "It could not be played: " (failure) } }
            }
        }
    }
}

/// A line of a story: a step, what came true or did not, an address, or what is seen.
fn step(line: &str) -> Markup {
    let text = line.trim_start();
    let kept = text.strip_prefix("ok ").map(str::trim_start);
    let broken = text.strip_prefix("NOT ").map(str::trim_start);
    html! {
        @if text.len() == line.len() { li.step { (text) } }
        @else if let Some(kept) = kept { li.good { "✓ " (kept) } }
        @else if let Some(broken) = broken { li.trouble { "✗ " (broken) } }
        @else if text.starts_with('/') { li { a href=(text) { (text) } } }
        @else { li { (text) } }
    }
}

/// The parts of the page that change.
async fn watch(
    State(pages): State<Pages>,
    Query(since): Query<Since>,
    headers: HeaderMap,
    visit: Visit,
) -> Result<Response, Refusal> {
    Console::ask(&pages.api, &visit).await?;
    let api = pages.api.clone();
    Ok(live::stream(&pages, &since, &headers, move || {
        let (api, visit) = (api.clone(), visit.clone());
        async move {
            let console = Console::ask(&api, &visit).await.ok()?;
            Some(Look {
                parts: console.parts(),
                pause: if console.is_busy() {
                    LOOK
                } else {
                    LOOK_AT_ENDED
                },
            })
        }
    }))
}

#[derive(Deserialize)]
struct Nothing {}

/// Begins a check. It changes nothing, so nobody signs it.
async fn check(
    State(pages): State<Pages>,
    visit: Visit,
    Form(Nothing {}): Form<Nothing>,
) -> Result<Redirect, Refusal> {
    pages.api.post(&visit, CHECK, None, &json!({})).await?;
    Ok(Redirect::to("/ops/invariants"))
}

#[derive(Deserialize)]
struct Play {
    scenario: String,
    #[serde(flatten)]
    signed: Signed,
}

async fn play(
    State(pages): State<Pages>,
    visit: Visit,
    Form(Play { scenario, signed }): Form<Play>,
) -> Result<Response, Refusal> {
    let path = format!("{SCENARIOS}/{}", escaped(&scenario));
    let body = json!({"reason": signed.reason});
    let then = "/ops/invariants";
    signed.act(&pages, visit, &path, &body, then).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offender_leads_to_its_order() {
        let id = "01a22a44-9eda-7212-883d-b2592be8f0b2";
        let linked = linked(&format!("order {id} is <stuck> in order")).0;
        assert!(
            linked.contains(&format!("order <a href=\"/orders/{id}\">{id}</a> ")),
            "{linked}"
        );
        assert!(linked.contains("is &lt;stuck&gt; in order"), "{linked}");
    }

    #[test]
    fn a_line_of_a_story_says_what_it_is() {
        for (line, part) in [
            ("1. It begins", "class=\"step\""),
            ("     ok   all is well", "✓ all is well"),
            ("     NOT  all is well", "✗ all is well"),
            ("     /orders/o-1", "href=\"/orders/o-1\""),
            ("     javascript:alert(1)", "<li>javascript:alert(1)</li>"),
        ] {
            let drawn = step(line).0;
            assert!(drawn.contains(part), "{line}: {drawn}");
        }
    }
}
