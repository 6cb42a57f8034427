//! The contents of all databases, in memory.

use std::collections::{BTreeMap, HashMap, HashSet};

use commerce_chassis::{FileSnapshot, Snapshot, Storage};
use mainstay_clock::{Clock, SystemClock};
use mainstay_messaging::envelope::micros_since_epoch;
use serde::Deserialize;

use super::{dead_letters::Letter, log::Log};
use crate::{
    config::SERVICES,
    error::{Failure, cannot_check},
};

/// A deployment at one moment, except that the databases are read one after the other.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) running: bool,
    /// Microseconds since 1970.
    pub(crate) now: i64,
    /// Now, or the last activity of a stopped deployment; microseconds since 1970.
    pub(crate) as_of: i64,
    pub(crate) journals: BTreeMap<&'static str, Journal>,
    pub(crate) orders: HashMap<String, Order>,
    pub(crate) keys: Vec<Key>,
    pub(crate) stock: BTreeMap<String, Stock>,
    pub(crate) reservations: HashMap<String, Reservation>,
    pub(crate) payments: HashMap<String, Payment>,
    pub(crate) shipments: HashMap<String, Shipment>,
    pub(crate) log: Log,
}

/// The journal, inbox and outbox of one service.
#[derive(Default, Debug)]
pub(crate) struct Journal {
    pub(crate) emitted: Vec<Emitted>,
    /// Name and event of each effect.
    pub(crate) effects: Vec<(String, String)>,
    /// Source and id of each message with a processed record.
    pub(crate) processed: HashSet<(String, String)>,
    pub(crate) outbox: Vec<Waiting>,
    /// Ids of messages that an operator removed from the outbox.
    pub(crate) discarded: HashSet<String>,
    /// The dead letter queue, replayed and discarded messages included.
    pub(crate) letters: Vec<Letter>,
}

/// A message that was emitted.
#[derive(Debug)]
pub(crate) struct Emitted {
    pub(crate) aggregate_id: String,
    pub(crate) version: i64,
    pub(crate) event_id: String,
    pub(crate) kind: String,
}

/// A message that waits in an outbox.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) order_id: Option<String>,
    pub(crate) event_id: Option<String>,
    pub(crate) since: i64,
    /// Whether it is in the deferred table.
    pub(crate) deferred: bool,
}

impl Waiting {
    /// Reads a row of an outbox. A row whose envelope does not decode counts as overdue.
    fn read((order_id, envelope): (Option<String>, String), deferred: bool) -> Self {
        let envelope: Option<Stored> = serde_json::from_str(&envelope).ok();
        let (event_id, since) = envelope.map_or((None, 0), |stored| {
            (stored.id, stored.occurred_at.unwrap_or(0))
        });
        Self {
            order_id,
            event_id,
            since,
            deferred,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) status: String,
    pub(crate) awaiting: String,
    pub(crate) total: i64,
    pub(crate) placed_at: i64,
    pub(crate) since: i64,
    pub(crate) was_confirmed: bool,
    /// Quantities by SKU.
    pub(crate) lines: BTreeMap<String, i64>,
}

impl Order {
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(&*self.status, "completed" | "cancelled")
    }
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    /// The body of its answer; none = too large to keep.
    pub(crate) answer: Option<Vec<u8>>,
}

#[derive(Default, Debug)]
pub(crate) struct Stock {
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
    /// The sum of its movements.
    pub(crate) moved: i64,
}

#[derive(Default, Debug)]
pub(crate) struct Reservation {
    pub(crate) state: String,
    pub(crate) lines: BTreeMap<String, i64>,
}

#[derive(Default, Debug)]
pub(crate) struct Payment {
    pub(crate) has_intent: bool,
    /// Sums of the ledger entries by operation.
    pub(crate) operations: BTreeMap<String, i64>,
    /// Sums of the ledger entries by account.
    pub(crate) accounts: BTreeMap<String, i64>,
    /// Amounts in the provider's books by kind of operation.
    pub(crate) at_provider: BTreeMap<String, i64>,
}

#[derive(Debug)]
pub(crate) struct Shipment {
    pub(crate) status: String,
    pub(crate) is_due: bool,
}

/// The part of a waiting message's envelope that the invariants need.
#[derive(Deserialize)]
struct Stored {
    id: Option<String>,
    occurred_at: Option<i64>,
}

#[derive(Deserialize)]
struct Details {
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    sku: String,
    qty: i64,
}

/// Id, status, compensations that are awaited, total, when it was placed and updated, details, and
/// whether it was confirmed.
type OrderRow = (String, String, String, i64, i64, i64, String, bool);

impl Observation {
    /// Reads all databases. The broker comes last, so that each emitted message is in an outbox or
    /// in the log.
    pub(crate) async fn take(storage: &Storage, running: bool) -> Result<Self, Failure> {
        let mut observation = Self {
            running,
            now: micros_since_epoch(SystemClock::new().now()),
            as_of: 0,
            journals: BTreeMap::new(),
            orders: HashMap::new(),
            keys: Vec::new(),
            stock: BTreeMap::new(),
            reservations: HashMap::new(),
            payments: HashMap::new(),
            shipments: HashMap::new(),
            log: Log::default(),
        };
        for service in SERVICES {
            let mut snapshot = storage.snapshot(service).await.map_err(cannot_check)?;
            observation.read_journal(service, &mut snapshot).await?;
            match service {
                "order" => observation.read_orders(&mut snapshot).await?,
                "inventory" => observation.read_inventory(&mut snapshot).await?,
                "payment" => observation.read_payments(&mut snapshot).await?,
                _ => observation.read_shipments(&mut snapshot).await?,
            }
            snapshot.close().await.map_err(cannot_check)?;
        }
        let mut psp = storage.snapshot("psp").await.map_err(cannot_check)?;
        observation.read_provider(&mut psp).await?;
        psp.close().await.map_err(cannot_check)?;
        observation.log = read_log(storage).await.map_err(cannot_check)?;
        if running {
            observation.as_of = micros_since_epoch(SystemClock::new().now());
        }
        Ok(observation)
    }

    async fn read_journal(
        &mut self,
        service: &'static str,
        snapshot: &mut Snapshot,
    ) -> Result<(), Failure> {
        let emitted: Vec<(String, i64, String, String, i64)> = snapshot
            .all(
                "SELECT aggregate_id, aggregate_version, event_id, kind, emitted_at FROM emitted
                 ORDER BY aggregate_id, aggregate_version",
            )
            .await
            .map_err(cannot_check)?;
        let newest = emitted.iter().map(|(.., at)| *at).max();
        self.as_of = self.as_of.max(newest.unwrap_or(0));
        let waiting: Vec<(Option<String>, String)> = snapshot
            .all("SELECT key, envelope FROM outbox")
            .await
            .map_err(cannot_check)?;
        let deferred: Vec<(Option<String>, String)> = snapshot
            .all("SELECT key, envelope FROM outbox_deferred")
            .await
            .map_err(cannot_check)?;
        let waiting = waiting.into_iter().map(|row| Waiting::read(row, false));
        let deferred = deferred.into_iter().map(|row| Waiting::read(row, true));
        let processed: Vec<(String, String)> = snapshot
            .all("SELECT source, id FROM inbox_processed")
            .await
            .map_err(cannot_check)?;
        let discarded: Vec<(Option<String>,)> = snapshot
            .all("SELECT message_id FROM outbox_acts WHERE act = 'discard'")
            .await
            .map_err(cannot_check)?;
        let journal = Journal {
            discarded: discarded.into_iter().filter_map(|(id,)| id).collect(),
            emitted: emitted
                .into_iter()
                .map(|(aggregate_id, version, event_id, kind, _)| Emitted {
                    aggregate_id,
                    version,
                    event_id,
                    kind,
                })
                .collect(),
            effects: snapshot
                .all("SELECT effect, event_id FROM effects")
                .await
                .map_err(cannot_check)?,
            processed: processed.into_iter().collect(),
            outbox: waiting.chain(deferred).collect(),
            letters: Letter::read_all(snapshot).await.map_err(cannot_check)?,
        };
        self.journals.insert(service, journal);
        Ok(())
    }

    async fn read_orders(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        let orders: Vec<OrderRow> = snapshot.all(
                "SELECT o.order_id, o.status, o.awaiting, o.total_minor, o.placed_at, o.updated_at, o.details,
                        EXISTS (SELECT 1 FROM order_history AS h WHERE h.order_id = o.order_id AND h.status = 'confirmed')
                 FROM orders AS o",
            ).await.map_err(cannot_check)?;
        for (order_id, status, awaiting, total, placed_at, since, details, was_confirmed) in orders
        {
            let details: Details = serde_json::from_str(&details)
                .map_err(|error| Failure::new(format!("cannot check: order {order_id}"), &error))?;
            let mut lines = BTreeMap::new();
            for line in details.lines {
                *lines.entry(line.sku).or_default() += line.qty;
            }
            self.as_of = self.as_of.max(since);
            let order = Order {
                status,
                awaiting,
                total,
                placed_at,
                since,
                was_confirmed,
                lines,
            };
            self.orders.insert(order_id, order);
        }
        let keys: Vec<(String, String, Option<Vec<u8>>)> = snapshot
            .all("SELECT tenant, key, body FROM idempotency_records")
            .await
            .map_err(cannot_check)?;
        let read = |(customer, key, answer)| Key {
            name: format!("{key} of {customer}"),
            answer,
        };
        self.keys = keys.into_iter().map(read).collect();
        Ok(())
    }

    async fn read_inventory(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        let stock: Vec<(String, i64, i64)> = snapshot
            .all("SELECT sku, on_hand, reserved FROM stock_items")
            .await
            .map_err(cannot_check)?;
        for (sku, on_hand, reserved) in stock {
            let item = self.stock.entry(sku).or_default();
            (item.on_hand, item.reserved) = (on_hand, reserved);
        }
        let moved: Vec<(String, i64)> = snapshot
            .all("SELECT sku, CAST(sum(quantity) AS BIGINT) FROM stock_movements GROUP BY sku")
            .await?;
        for (sku, moved) in moved {
            self.stock.entry(sku).or_default().moved = moved;
        }
        let reservations: Vec<(String, String)> = snapshot
            .all("SELECT order_id, state FROM reservations")
            .await
            .map_err(cannot_check)?;
        for (order_id, state) in reservations {
            self.reservations.entry(order_id).or_default().state = state;
        }
        let lines: Vec<(String, String, i64)> = snapshot
            .all("SELECT order_id, sku, quantity FROM reservation_lines")
            .await
            .map_err(cannot_check)?;
        for (order_id, sku, quantity) in lines {
            let reservation = self.reservations.entry(order_id).or_default();
            reservation.lines.insert(sku, quantity);
        }
        Ok(())
    }

    async fn read_payments(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        let intents: Vec<(String,)> = snapshot
            .all("SELECT DISTINCT order_id FROM intents WHERE done = 0")
            .await
            .map_err(cannot_check)?;
        for (order_id,) in intents {
            self.payments.entry(order_id).or_default().has_intent = true;
        }
        let entries: Vec<(String, String, String, i64)> = snapshot
            .all("SELECT order_id, operation, account, amount_minor FROM ledger_entries")
            .await
            .map_err(cannot_check)?;
        for (order_id, operation, account, amount) in entries {
            let payment = self.payments.entry(order_id).or_default();
            *payment.operations.entry(operation).or_default() += amount;
            *payment.accounts.entry(account).or_default() += amount;
        }
        Ok(())
    }

    async fn read_shipments(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        let shipments: Vec<(String, String, bool)> = snapshot
            .all("SELECT order_id, status, due_at IS NOT NULL FROM shipments")
            .await
            .map_err(cannot_check)?;
        self.shipments = shipments
            .into_iter()
            .map(|(order_id, status, is_due)| (order_id, Shipment { status, is_due }))
            .collect();
        Ok(())
    }

    async fn read_provider(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        let operations: Vec<(String, String, i64)> = snapshot
            .all("SELECT effect_key, kind, amount_minor FROM operations")
            .await
            .map_err(cannot_check)?;
        for (effect_key, kind, amount) in operations {
            // `ORDER:step:attempt`
            let order_id = effect_key.split(':').next().unwrap_or_default().to_owned();
            let payment = self.payments.entry(order_id).or_default();
            *payment.at_provider.entry(kind).or_default() += amount;
        }
        Ok(())
    }
}

async fn read_log(storage: &Storage) -> commerce_chassis::Result<Log> {
    let mut broker = FileSnapshot::open(storage.data(), "broker").await?;
    let log = Log::read(&mut broker).await?;
    broker.close().await?;
    Ok(log)
}
