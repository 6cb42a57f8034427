//! The order service: its read model, its streams, and the answers that it keeps.

use std::collections::BTreeMap;

use commerce_chassis::Snapshot;
use serde::Deserialize;

use super::Observation;
use crate::error::{Failure, cannot_check};

#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) status: String,
    /// The version of its stream that its row includes.
    pub(crate) version: i64,
    pub(crate) total: i64,
    pub(crate) placed_at: i64,
    pub(crate) since: i64,
    /// Quantities by SKU.
    pub(crate) lines: BTreeMap<String, i64>,
    /// Version and kind of each event of its stream, in order.
    pub(crate) events: Vec<(i64, String)>,
    /// Its returns by id, and what was given back for each; none: nothing yet.
    pub(crate) returns: BTreeMap<String, Option<i64>>,
}

impl Order {
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(&*self.status, "completed" | "cancelled")
    }

    /// Whether its stream has an event of this kind.
    pub(crate) fn has(&self, kind: &str) -> bool {
        self.events.iter().any(|(_, event)| event == kind)
    }
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    /// The body of its answer; none = too large to keep.
    pub(crate) answer: Option<Vec<u8>>,
}

/// An event about a return.
#[derive(Deserialize)]
struct Returned {
    return_id: String,
    /// What was given back, once it was.
    amount: Option<i64>,
}

#[derive(Deserialize)]
struct Line {
    sku: String,
    qty: i64,
}

impl Observation {
    pub(super) async fn read_orders(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        type Row = (String, String, i64, String, i64, i64, i64);
        let orders = "SELECT order_id, status, version, lines, total_minor, placed_at, updated_at FROM order_view";
        let orders: Vec<Row> = snapshot.all(orders).await.map_err(cannot_check)?;
        for (order_id, status, version, ordered, total, placed_at, since) in orders {
            let ordered: Vec<Line> = serde_json::from_str(&ordered)
                .map_err(|error| Failure::new(format!("cannot check: order {order_id}"), &error))?;
            let mut lines = BTreeMap::new();
            for line in ordered {
                *lines.entry(line.sku).or_default() += line.qty;
            }
            let order = Order {
                status,
                version,
                total,
                placed_at,
                since,
                lines,
                events: Vec::new(),
                returns: BTreeMap::new(),
            };
            self.orders.insert(order_id, order);
        }
        let events = "SELECT stream, version, kind FROM eventstore_events ORDER BY stream, version";
        let events: Vec<(String, i64, String)> =
            snapshot.all(events).await.map_err(cannot_check)?;
        for (stream, version, kind) in events {
            let order_id = stream.strip_prefix("order/").unwrap_or(&stream);
            match self.orders.get_mut(order_id) {
                Some(order) => order.events.push((version, kind)),
                None => drop(self.orphans.insert(stream)),
            }
        }
        self.read_returns(snapshot).await?;
        let keys = "SELECT tenant, key, body FROM idempotency_records";
        let keys: Vec<(String, String, Option<Vec<u8>>)> =
            snapshot.all(keys).await.map_err(cannot_check)?;
        let read = |(customer, key, answer)| Key {
            name: format!("{key} of {customer}"),
            answer,
        };
        self.keys = keys.into_iter().map(read).collect();
        Ok(())
    }

    async fn read_returns(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        let events = "SELECT stream, kind, payload FROM eventstore_events
             WHERE kind IN ('CameBack', 'ReturnRequested', 'ReturnRefunded') ORDER BY stream, version";
        let events: Vec<(String, String, String)> =
            snapshot.all(events).await.map_err(cannot_check)?;
        for (stream, kind, payload) in events {
            let Returned { return_id, amount } =
                serde_json::from_str(&payload).map_err(|error| {
                    Failure::new(format!("cannot check: {kind} of {stream}"), &error)
                })?;
            let order_id = stream.strip_prefix("order/").unwrap_or(&stream);
            if let Some(order) = self.orders.get_mut(order_id) {
                let refunded = (kind == "ReturnRefunded").then_some(amount.unwrap_or(0));
                let known = order.returns.entry(return_id).or_default();
                *known = refunded.or(*known);
            }
        }
        Ok(())
    }
}
