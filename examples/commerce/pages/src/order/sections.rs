//! The parts of the page of an order. Each has an id, under which it is replaced when it changes.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use super::{
    drawing,
    facts::{Event, Facts, Ledger, Noted, Posting, Stock, Timeline},
    journal::{Told, read},
    lanes, returns,
};
use crate::{
    api::escaped,
    courier,
    money::{amount, digits},
    page::absent,
    time::{Span, micros, of_day},
};

/// All parts, from top to bottom.
pub(crate) fn of(facts: &Facts, now: i64) -> Vec<Markup> {
    vec![
        summary(facts, now),
        acts(facts),
        returns::section(facts),
        picture(facts, now),
        money(facts),
        parcel(facts),
        mails(facts),
        stock(facts),
        told(facts),
    ]
}

/// The beginning and the end of an id.
pub(crate) fn short(id: &str) -> String {
    match (
        id.get(..8),
        id.len().checked_sub(4).and_then(|at| id.get(at..)),
    ) {
        (Some(first), Some(last)) if id.len() > 16 => format!("{first}…{last}"),
        _ => id.to_owned(),
    }
}

fn summary(facts: &Facts, now: i64) -> Markup {
    let order = &facts.order;
    let reason = order.history.iter().rev().find_map(|it| it.reason.as_ref());
    html! {
        section #summary aria-live="polite" {
            h1 { "Order " span.id title=(order.id) { (short(&order.id)) } " " span class=(format!("status {}", order.status)) { (order.status.replace('_', " ")) } }
            dl.facts {
                @if let Some((from, until)) = facts.window(now) {
                    dt { @if facts.has_ended() { "took" } @else { "age" } }
                    dd { (Span(until - from)) }
                }
                dt { "customer" } dd { (order.customer_id) }
                dt { "total" } dd { (amount(order.total_minor, &order.currency)) }
                dt { "lines" } dd {
                    @for (index, line) in order.lines.iter().enumerate() {
                        @if index > 0 { ", " }
                        (line.qty) " × " (line.sku) " at " (digits(line.unit_price_minor))
                    }
                }
                dt { "saga" } dd { (saga(facts, now)) }
                @if let Some(reason) = reason { dt { "reason" } dd.back { (reason) } }
            }
        }
    }
}

/// What the customer may do. It changes rarely: a button that is replaced loses its press.
fn acts(facts: &Facts) -> Markup {
    let order = &facts.order;
    let can_cancel = matches!(
        &*order.status,
        "placed" | "stock_reserved" | "payment_authorized" | "confirmed" | "fulfilling"
    );
    html! {
        section #acts {
            @if can_cancel {
                form method="post" action=(format!("/orders/{}/cancel", escaped(&order.id))) {
                    button { "Cancel the order" }
                }
            }
        }
    }
}

fn saga(facts: &Facts, now: i64) -> Markup {
    let Ok(Some(timeline)) = &facts.timeline else {
        return absent(&facts.timeline, "none");
    };
    let run = &timeline.run;
    let due = run.wake_at.as_deref().and_then(micros);
    html! {
        a href=(format!("/ops/sagas/{}", escaped(&run.id))) { (run.saga) " v" (run.version) }
        " is " (run.status)
        @if let Some(step) = &run.step {
            ", waits at " (step)
            @if let Some(due) = due { ", due in " (Span(due - now)) }
        }
        @if run.is_overdue { strong.trouble { ", overdue" } }
    }
}

fn picture(facts: &Facts, now: i64) -> Markup {
    let lanes = lanes::of(facts, now);
    let start = facts.placed_at().unwrap_or(now);
    html! {
        section #lanes {
            h2 { "What each service did" }
            div.wide { (drawing::picture(&lanes, start)) }
            p.key {
                span.forward { "■ forward" } " " span.refused { "■ refused" } " " span.back { "■ undone" }
                " · A pause is drawn as long as its square root; the journal has all times."
            }
        }
    }
}

fn money(facts: &Facts) -> Markup {
    let currency = &facts.order.currency;
    html! {
        section #money {
            h2 { "Money" }
            @if let Ok(Some(payment)) = &facts.payment {
                p { (amount(payment.amount_minor, currency)) " by " code { (payment.method) } " is " strong { (payment.status) } }
                @if let Some(reference) = &payment.provider_ref { p.fine { "at the provider " code { (reference) } } }
            } @else {
                (absent(&facts.payment, "No payment was asked for."))
            }
            @match &facts.ledger {
                Ok(Some(ledger)) if !ledger.entries.is_empty() => (postings(ledger)),
                ledger => (absent(ledger, "The ledger has no entry."))
            }
        }
    }
}

/// The operation of an entry: what the payment service did, and in which attempt.
fn operation(posting: &Posting) -> &str {
    posting
        .operation
        .split_once(':')
        .map_or(&*posting.operation, |(_, name)| name)
}

fn postings(ledger: &Ledger) -> Markup {
    let sum: i64 = ledger.entries.iter().map(|it| it.amount_minor).sum();
    let mut accounts: BTreeMap<&str, i64> = BTreeMap::new();
    for posting in &ledger.entries {
        *accounts.entry(&posting.account).or_default() += posting.amount_minor;
    }
    html! {
        table {
            thead { tr { th { "operation" } th { "account" } th.number { "amount" } } }
            tbody {
                @for posting in &ledger.entries {
                    tr { td title=(posting.operation) { (operation(posting)) } td { (posting.account.replace('_', " ")) } td.number { (digits(posting.amount_minor)) } }
                }
            }
            tfoot {
                @for (account, balance) in &accounts {
                    tr { td { "balance" } td { (account.replace('_', " ")) } td.number { (digits(*balance)) } }
                }
                tr class=(if sum == 0 { "good" } else { "trouble" }) {
                    td { "Σ ledger" } td { @if sum == 0 { "✓ balanced" } @else { "✗ not balanced" } } td.number { (digits(sum)) }
                }
            }
        }
    }
}

fn parcel(facts: &Facts) -> Markup {
    html! {
        section #parcel {
            h2 { "Parcel" }
            @if let Ok(Some(shipment)) = &facts.shipment {
                p { code { (shipment.tracking_no) } " is " strong { (shipment.status.replace('_', " ")) } }
                @if facts.may_carry { (courier::buttons(&facts.order.id, &shipment.tracking_no)) }
                table {
                    thead { tr { th { "scan" } th { "at" } } }
                    tbody {
                        @for scan in &shipment.tracking {
                            tr { td { (scan.status.replace('_', " ")) } td { (after(facts, &scan.at)) } }
                        }
                    }
                }
            } @else {
                (absent(&facts.shipment, "No parcel was prepared."))
            }
        }
    }
}

fn mails(facts: &Facts) -> Markup {
    html! {
        section #mails {
            h2 { "Mails and texts" }
            @match &facts.mails {
                Ok(Some(mails)) if !mails.notifications.is_empty() => {
                    @for mail in &mails.notifications {
                        details id=(format!("mail-{}", mail.notification_id)) {
                            summary { (mail.subject) span.fine { " · " (mail.channel) " to " (mail.recipient) ", " (mail.status) } }
                            @if let Some(body) = &mail.body { pre { (body) } }
                        }
                    }
                }
                mails => (absent(mails, "Nothing was sent to the customer."))
            }
        }
    }
}

fn stock(facts: &Facts) -> Markup {
    let row = |sku: &str, stock: &Stock| {
        html! {
            tr { td { (sku) } td.number { (stock.on_hand) } td.number { (stock.reserved) } td.number { (stock.available) } }
        }
    };
    html! {
        section #stock {
            h2 { "Stock now" }
            table {
                thead { tr { th { "SKU" } th.number { "on hand" } th.number { "reserved" } th.number { "available" } } }
                tbody {
                    @for (sku, part) in &facts.stock {
                        @if let Ok(Some(stock)) = part { (row(sku, stock)) }
                        @else { tr { td { (sku) } td colspan="3" { (absent(part, "not kept")) } } }
                    }
                }
            }
        }
    }
}

/// How long after the order was placed.
fn after(facts: &Facts, at: &str) -> Markup {
    let Some(at) = micros(at) else {
        return html! { (at) };
    };
    let start = facts.placed_at().unwrap_or(at);
    html! { span title=(of_day(at)) { "+" (Span(at - start)) } }
}

/// A line of the journal.
struct Line {
    at: i64,
    lane: &'static str,
    sign: &'static str,
    text: String,
    payload: Option<Value>,
    is_back: bool,
}

fn of_stream(event: &Event) -> Option<Line> {
    Some(Line {
        at: micros(&event.at)?,
        lane: "order",
        sign: "■",
        text: format!("{} v{}", event.kind, event.version),
        payload: Some(event.data.clone()),
        is_back: matches!(
            &*event.kind,
            "CancellationBegun" | "StepUndone" | "Cancelled"
        ),
    })
}

fn of_saga(noted: &Noted) -> Option<Line> {
    let told = Told::of(&read(noted)?)?;
    Some(Line {
        at: micros(&noted.at)?,
        lane: told.lane,
        sign: told.sign,
        text: told.text,
        payload: told.payload,
        is_back: told.is_back,
    })
}

/// Sorts lines by time. In one moment, a reply comes before what it leads to.
fn sorted(lines: impl Iterator<Item = Line>) -> Vec<Line> {
    let mut lines: Vec<Line> = lines.collect();
    lines.sort_by_key(|line| {
        let rank = ["←", "■", "•", "→"].iter().position(|it| *it == line.sign);
        (line.at, rank)
    });
    lines
}

/// The journal of a run alone.
pub(crate) fn journal_of(timeline: &Timeline) -> Markup {
    let lines = sorted(timeline.journal.iter().filter_map(of_saga));
    table(&lines, micros(&timeline.run.started_at).unwrap_or_default())
}

fn told(facts: &Facts) -> Markup {
    let events = facts.events.as_ref().ok().and_then(Option::as_ref);
    let timeline = facts.timeline.as_ref().ok().and_then(Option::as_ref);
    let events = events.into_iter().flatten().filter_map(of_stream);
    let journal = timeline.into_iter().flat_map(|it| &it.journal);
    let lines = sorted(events.chain(journal.filter_map(of_saga)));
    html! {
        section #journal {
            h2 { "Journal" }
            p.fine { "■ an event of the order's stream, → a command that the saga sent, ← its reply" }
            @if let Err(failed) = &facts.timeline { p.trouble { "The saga's part is missing: " (failed) } }
            @if let Err(failed) = &facts.events { p.trouble { "The order's part is missing: " (failed) } }
            (table(&lines, facts.placed_at().unwrap_or_default()))
        }
    }
}

fn table(lines: &[Line], start: i64) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { th.number { "after" } th { "service" } th {} th { "what" } th { "payload" } } }
                tbody {
                    @for (index, line) in lines.iter().enumerate() {
                        tr.back[line.is_back] {
                            td.number title=(of_day(line.at)) { "+" (Span(line.at - start)) }
                            td { (line.lane) } td { (line.sign) } td { (line.text) }
                            td { @if let Some(payload) = line.payload.as_ref().filter(|it| !is_empty(it)) {
                                details id=(format!("line-{index}")) { summary { "show" } pre { (pretty(payload)) } }
                            } }
                        }
                    }
                }
            }
        }
    }
}

fn is_empty(payload: &Value) -> bool {
    payload.is_null() || payload.as_object().is_some_and(serde_json::Map::is_empty)
}

pub(crate) fn pretty(payload: &Value) -> String {
    serde_json::to_string_pretty(payload).unwrap_or_default()
}
