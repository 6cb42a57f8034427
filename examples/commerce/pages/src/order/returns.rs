//! What comes back of an order, and the form that asks for it.

use std::collections::BTreeMap;

use axum::{
    Form,
    extract::{Path, State},
    response::Redirect,
};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{
    facts::{Facts, Order, Return},
    sections::short,
};
use crate::{Pages, api::escaped, money::digits, page::Refusal, visit::Visit};

/// What the name of a field begins with whose value is a number of pieces; its SKU follows.
const PIECES: &str = "pieces:";
/// Characters of a reason.
const LONGEST_REASON: usize = 200;

/// What came back, and the form for more. It changes only when something comes back: what somebody
/// writes stays.
pub(super) fn section(facts: &Facts) -> Markup {
    let order = &facts.order;
    html! {
        section #returns {
            @if !order.returns.is_empty() { h2 { "Returns" } (table(order)) }
            @if order.status == "completed" { (form(order)) }
        }
    }
}

fn table(order: &Order) -> Markup {
    let row = |it: &Return| {
        html! {
            tr {
                td { span.id title=(it.id) { (short(&it.id)) } }
                td { @for (index, line) in it.lines.iter().enumerate() { @if index > 0 { ", " } (line.qty) " × " (line.sku) } }
                td { (it.reason) }
                td.number { (digits(it.amount_minor)) }
                td.number { @if let Some(refunded) = it.refunded_minor { (digits(refunded)) } }
                td { span class=(format!("status {}", it.status)) { (it.status) } }
            }
        }
    };
    html! {
        div.wide {
            table {
                thead { tr { th { "return" } th { "pieces" } th { "reason" } th.number { "worth" } th.number { "given back" } th {} } }
                tbody { @for it in &order.returns { (row(it)) } }
            }
        }
        p.fine { "Amounts are in " (order.currency) ". A piece gives back its price and its share of the tax, without the shipping fee." }
    }
}

/// Nothing if all came back.
fn form(order: &Order) -> Markup {
    let left = left(order);
    html! {
        @if !left.is_empty() {
            details #return-form {
                summary { "Return something" }
                form.counter method="post" action=(format!("/orders/{}/returns", escaped(&order.id))) {
                    // The same form asks once, and the next one asks for another return.
                    input type="hidden" name="key" value=(format!("return-{}-of-{}", order.returns.len() + 1, order.id));
                    @for (sku, pieces) in &left {
                        label { (sku) ", of " (pieces) input.short type="number" name=(format!("{PIECES}{sku}")) min="0" max=(pieces) value="0"; }
                    }
                    label { "Reason" input name="reason" maxlength=(LONGEST_REASON); }
                    div.buttons { button.back { "Return it" } }
                }
            }
        }
    }
}

/// The pieces that can still come back, by SKU.
fn left(order: &Order) -> BTreeMap<&str, i64> {
    let mut left: BTreeMap<&str, i64> = BTreeMap::new();
    for line in &order.lines {
        let pieces = left.entry(&line.sku).or_default();
        *pieces = pieces.saturating_add(line.qty);
    }
    for line in order.returns.iter().flat_map(|it| &it.lines) {
        if let Some(pieces) = left.get_mut(&*line.sku) {
            *pieces = pieces.saturating_sub(line.qty);
        }
    }
    left.retain(|_, pieces| *pieces > 0);
    left
}

/// Asks for a return, and shows the page again.
pub(super) async fn send_back(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Redirect, Refusal> {
    let (key, asked) = read(&fields)?;
    let id = escaped(&id);
    let path = format!("/api/v1/orders/{id}/returns");
    pages.api.post(&visit, &path, Some(key), &asked).await?;
    Ok(Redirect::to(&format!("/orders/{id}#returns")))
}

/// The key, and what the API is asked.
fn read(fields: &[(String, String)]) -> Result<(&str, Value), Refusal> {
    let field = |wanted: &str| {
        let mut found = fields.iter().filter(|(name, _)| name == wanted);
        found.next().map_or("", |(_, value)| value.trim())
    };
    let mut lines = Vec::new();
    for (name, value) in fields {
        let Some(sku) = name.strip_prefix(PIECES) else {
            continue;
        };
        let pieces = match value.trim() {
            "" => Ok(0),
            digits => digits.parse::<i64>(),
        };
        let pieces = pieces.map_err(|_| Refusal::invalid(format!("{sku}: a number of pieces")))?;
        if pieces != 0 {
            lines.push(json!({"sku": sku, "quantity": pieces}));
        }
    }
    if lines.is_empty() {
        return Err(Refusal::invalid("say how many pieces come back"));
    }
    let mut asked = json!({"lines": lines});
    let reason = field("reason");
    if !reason.is_empty() {
        asked["reason"] = reason.into();
    }
    Ok((field("key"), asked))
}
