//! Lists of orders, as the shop and the operators see them.

use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    api::{Api, Failed, escaped},
    money::amount,
    time,
    visit::Visit,
};

/// A part of a list.
#[derive(Deserialize, Debug)]
pub(crate) struct Listed<T> {
    pub(crate) items: Vec<T>,
    /// Where the next part begins.
    pub(crate) next: Option<String>,
}

#[derive(Deserialize, Debug)]
pub(crate) struct Row {
    pub(crate) order_id: String,
    pub(crate) status: String,
    pub(crate) customer_id: String,
    pub(crate) currency: String,
    pub(crate) total_minor: i64,
    pub(crate) placed_at: String,
}

/// The newest orders that match; an empty text matches all.
pub(crate) async fn orders(
    api: &Api,
    visit: &Visit,
    query: &[(&str, &str)],
    limit: usize,
) -> Result<Option<Listed<Row>>, Failed> {
    let path = format!("/api/v1/orders?limit={limit}{}", and(query));
    api.get(visit, &path).await
}

/// The part of a query string that says what is asked for.
pub(crate) fn and(query: &[(&str, &str)]) -> String {
    let set = query.iter().filter(|(_, value)| !value.is_empty());
    let parts: Vec<_> = set
        .map(|(name, value)| format!("&{name}={}", escaped(value)))
        .collect();
    parts.concat()
}

pub(crate) fn table(rows: &[Row]) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { th { "order" } th { "status" } th { "customer" } th.number { "total" } th { "placed (UTC)" } } }
                tbody {
                    @for row in rows {
                        tr {
                            td { a.id href=(format!("/orders/{}", escaped(&row.order_id))) title=(row.order_id) { (crate::order::short(&row.order_id)) } }
                            td { (status(&row.status)) }
                            td { (row.customer_id) }
                            td.number { (amount(row.total_minor, &row.currency)) }
                            td.time { (time::of_text(&row.placed_at)) }
                        }
                    }
                }
            }
        }
    }
}

/// A status in its colour.
pub(crate) fn status(name: &str) -> Markup {
    html! { span class=(format!("status {name}")) { (name.replace('_', " ")) } }
}
