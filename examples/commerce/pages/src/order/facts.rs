//! What the services say about one order.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    api::{Api, Failed, escaped},
    courier,
    time::micros,
    visit::Visit,
};

/// SKUs of an order whose stock is shown.
const SKUS: usize = 12;
/// Mails of an order whose text is shown.
const MAILS: usize = 8;

/// A part of the facts. Nothing: there is none yet, or no such route in this build.
pub(crate) type Part<T> = Result<Option<T>, Failed>;

/// An order with all that is known of it.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) order: Order,
    pub(crate) events: Part<Vec<Event>>,
    pub(crate) timeline: Part<Timeline>,
    pub(crate) payment: Part<Payment>,
    pub(crate) ledger: Part<Ledger>,
    pub(crate) shipment: Part<Shipment>,
    pub(crate) mails: Part<Mails>,
    pub(crate) stock: Vec<(String, Part<Stock>)>,
    /// Whether the visitor may carry the parcel.
    pub(crate) may_carry: bool,
}

#[derive(Deserialize, Debug)]
pub(crate) struct Order {
    #[serde(rename = "order_id")]
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) customer_id: String,
    pub(crate) currency: String,
    pub(crate) total_minor: i64,
    pub(crate) lines: Vec<Line>,
    pub(crate) history: Vec<Entered>,
    /// What comes back, or came back.
    #[serde(default)]
    pub(crate) returns: Vec<Return>,
}

#[derive(Deserialize, Debug)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) qty: i64,
    pub(crate) unit_price_minor: i64,
}

/// Goods of the order that come back.
#[derive(Deserialize, Debug)]
pub(crate) struct Return {
    #[serde(rename = "return_id")]
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) lines: Vec<Returned>,
    pub(crate) amount_minor: i64,
    /// None: the money was not given back yet.
    #[serde(default)]
    pub(crate) refunded_minor: Option<i64>,
}

/// Pieces that come back.
#[derive(Deserialize, Debug)]
pub(crate) struct Returned {
    pub(crate) sku: String,
    pub(crate) qty: i64,
}

/// A status that the order has entered.
#[derive(Deserialize, Debug)]
pub(crate) struct Entered {
    pub(crate) status: String,
    pub(crate) at: String,
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// An event of the order's stream.
#[derive(Deserialize, Debug)]
pub(crate) struct Event {
    pub(crate) version: u64,
    pub(crate) kind: String,
    pub(crate) at: String,
    pub(crate) data: Value,
}

/// What the saga did.
#[derive(Deserialize, Debug)]
pub(crate) struct Timeline {
    pub(crate) run: Run,
    pub(crate) journal: Vec<Noted>,
}

#[derive(Deserialize, Debug)]
pub(crate) struct Run {
    pub(crate) saga: String,
    pub(crate) version: u32,
    #[serde(rename = "run")]
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) status: String,
    pub(crate) is_overdue: bool,
    pub(crate) step: Option<String>,
    pub(crate) started_at: String,
    pub(crate) wake_at: Option<String>,
}

/// An entry of the saga's journal.
#[derive(Deserialize, Debug)]
pub(crate) struct Noted {
    pub(crate) at: String,
    pub(crate) entry: Value,
}

#[derive(Deserialize, Debug)]
pub(crate) struct Payment {
    pub(crate) status: String,
    pub(crate) amount_minor: i64,
    #[serde(rename = "payment_method")]
    pub(crate) method: String,
    pub(crate) provider_ref: Option<String>,
}

#[derive(Deserialize, Debug)]
pub(crate) struct Ledger {
    pub(crate) entries: Vec<Posting>,
}

/// An amount on an account.
#[derive(Deserialize, Debug)]
pub(crate) struct Posting {
    pub(crate) operation: String,
    pub(crate) account: String,
    pub(crate) amount_minor: i64,
}

#[derive(Deserialize, Debug)]
pub(crate) struct Shipment {
    pub(crate) tracking_no: String,
    pub(crate) status: String,
    pub(crate) tracking: Vec<Scan>,
}

#[derive(Deserialize, Debug)]
pub(crate) struct Scan {
    pub(crate) status: String,
    pub(crate) at: String,
}

#[derive(Deserialize, Debug)]
pub(crate) struct Stock {
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
    pub(crate) available: i64,
}

#[derive(Deserialize, Debug)]
pub(crate) struct Mails {
    pub(crate) notifications: Vec<Mail>,
}

/// A mail or a text to the customer.
#[derive(Deserialize, Debug)]
pub(crate) struct Mail {
    pub(crate) notification_id: String,
    pub(crate) news: String,
    pub(crate) channel: String,
    pub(crate) recipient: String,
    pub(crate) status: String,
    pub(crate) created_at: String,
    pub(crate) subject: String,
    /// None in lists.
    #[serde(default)]
    pub(crate) body: Option<String>,
}

impl Facts {
    /// Asks the services; nothing if there is no such order. A part that a service does not answer
    /// for says so, and the others are shown.
    pub(crate) async fn ask(api: &Api, visit: &Visit, id: &str) -> Result<Option<Self>, Failed> {
        let id = escaped(id);
        let order = format!("/api/v1/orders/{id}");
        let Some(order) = api.get::<Order>(visit, &order).await? else {
            return Ok(None);
        };
        let of = |path: &str| format!("/api/v1/{}", path.replace("{id}", &id));
        let customer = escaped(&order.customer_id);
        let paths = [
            of("orders/{id}/events"),
            of("orders/{id}/timeline"),
            of("payments/{id}"),
            of("payments/{id}/ledger"),
            of("shipments/{id}"),
            format!("/api/v1/notifications?user={customer}&order={id}"),
        ];
        let skus: BTreeSet<&str> = order.lines.iter().map(|line| &*line.sku).collect();
        let stock = skus.into_iter().take(SKUS).map(async |sku| {
            let path = format!("/api/v1/stock/{}", escaped(sku));
            (sku.to_owned(), api.get(visit, &path).await)
        });
        let (events, timeline, payment, ledger, shipment, mails, stock) = tokio::join!(
            api.get(visit, &paths[0]),
            api.get(visit, &paths[1]),
            api.get(visit, &paths[2]),
            api.get(visit, &paths[3]),
            api.get(visit, &paths[4]),
            mails(api, visit, &paths[5]),
            join_all(stock),
        );
        let parcel = shipment.as_ref().ok().and_then(Option::as_ref);
        let waits = parcel.is_some_and(|it: &Shipment| courier::waits(&it.status));
        Ok(Some(Self {
            may_carry: waits && courier::is_open(api, visit).await,
            order,
            events,
            timeline,
            payment,
            ledger,
            shipment,
            mails,
            stock,
        }))
    }

    /// Whether the order has ended; mails and refunds may follow.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(&*self.order.status, "completed" | "cancelled")
    }

    /// When the order was placed.
    pub(crate) fn placed_at(&self) -> Option<i64> {
        micros(&self.order.history.first()?.at)
    }

    /// From when to when the order was under way; until now if it is.
    pub(crate) fn window(&self, now: i64) -> Option<(i64, i64)> {
        let from = self.placed_at()?;
        let last = self.order.history.last().and_then(|it| micros(&it.at));
        let until = last.filter(|_| self.has_ended()).unwrap_or(now);
        Some((from, until.max(from)))
    }
}

/// The mails with their texts. One whose text is not to be had shows its subject only.
async fn mails(api: &Api, visit: &Visit, path: &str) -> Part<Mails> {
    let mut mails = api.get::<Mails>(visit, path).await;
    if let Ok(Some(mails)) = &mut mails {
        let read = mails.notifications.iter_mut().take(MAILS);
        join_all(read.map(async |mail| {
            let path = format!("/api/v1/notifications/{}", escaped(&mail.notification_id));
            if let Ok(Some(whole)) = api.get::<Mail>(visit, &path).await {
                mail.body = whole.body;
            }
        }))
        .await;
    }
    mails
}
