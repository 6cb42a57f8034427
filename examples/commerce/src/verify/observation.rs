//! The contents of all databases, in memory.

mod locks;
mod mailbox;
mod orders;
mod participants;
mod sagas;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use commerce_analytics::Comparison;
use commerce_chassis::{Snapshot, Storage};
use mainstay_clock::{Clock as _, SystemClock};
use mainstay_messaging::envelope::micros_since_epoch;

use super::log::Log;
use crate::{
    config::SERVICES,
    error::{Failure, cannot_check},
};

use locks::Locks;
pub(crate) use mailbox::Mailbox;
pub(crate) use orders::{Key, Order};
pub(crate) use participants::{Movement, Payment, Reservation, Shipment, Stock};
pub(crate) use sagas::Run;

/// A deployment at one moment, except that the databases are read one after the other.
#[derive(Default, Debug)]
pub(crate) struct Observation {
    pub(crate) running: bool,
    /// Microseconds since 1970.
    pub(crate) now: i64,
    /// Now, or the last activity of a stopped deployment; microseconds since 1970.
    pub(crate) as_of: i64,
    /// By service.
    pub(crate) mailboxes: BTreeMap<&'static str, Mailbox>,
    /// The version of each row that is told by version, by topic and key.
    pub(crate) versions: BTreeMap<(&'static str, String), i64>,
    /// The counts of analytics, beside those of a rebuild.
    pub(crate) projection: Option<Comparison>,
    /// Event, channel and order of each notification.
    pub(crate) notifications: Vec<(String, String, String)>,
    /// The locks of services that have any.
    pub(crate) locks: BTreeMap<&'static str, Locks>,
    /// Services that were never started.
    pub(crate) absent: BTreeSet<&'static str>,
    pub(crate) orders: HashMap<String, Order>,
    /// Streams without an order.
    pub(crate) orphans: BTreeSet<String>,
    /// The runs of sagas, by id.
    pub(crate) runs: BTreeMap<String, Run>,
    pub(crate) keys: Vec<Key>,
    pub(crate) stock: BTreeMap<String, Stock>,
    pub(crate) movements: Vec<Movement>,
    pub(crate) reservations: HashMap<String, Reservation>,
    pub(crate) payments: HashMap<String, Payment>,
    pub(crate) shipments: HashMap<String, Shipment>,
    pub(crate) log: Log,
}

impl Observation {
    /// Reads all databases. The broker comes last, so that each emitted message is in an outbox or
    /// in the log.
    pub(crate) async fn take(storage: &Storage, running: bool) -> Result<Self, Failure> {
        let mut observation = Self {
            running,
            now: micros_since_epoch(SystemClock::new().now()),
            ..Self::default()
        };
        for service in SERVICES {
            let found = storage.find_snapshot(service).await.map_err(cannot_check)?;
            let Some(mut snapshot) = found else {
                observation.absent.insert(service);
                continue;
            };
            let mailbox = Mailbox::read(&mut snapshot).await.map_err(cannot_check)?;
            observation.mailboxes.insert(service, mailbox);
            match service {
                "order" => {
                    observation.read_orders(&mut snapshot).await?;
                    observation.read_runs(&mut snapshot).await?;
                }
                "inventory" => {
                    observation.read_inventory(&mut snapshot).await?;
                    let items = "SELECT sku, version FROM stock_items";
                    observation
                        .read_versions("stock", items, &mut snapshot)
                        .await?;
                    let locks = Locks::read(&mut snapshot).await.map_err(cannot_check)?;
                    observation.locks.insert(service, locks);
                }
                "payment" => observation.read_payments(&mut snapshot).await?,
                "shipping" => observation.read_shipments(&mut snapshot).await?,
                "catalog" => {
                    let products = "SELECT sku, version FROM products";
                    observation
                        .read_versions("catalog", products, &mut snapshot)
                        .await?;
                }
                "identity" => {
                    let users = "SELECT user_id, version FROM users";
                    observation
                        .read_versions("identity", users, &mut snapshot)
                        .await?;
                }
                "notification" => {
                    let rows = "SELECT event_id, channel, order_id FROM notifications";
                    observation.notifications = snapshot.all(rows).await.map_err(cannot_check)?;
                }
                "analytics" => {
                    let comparison = commerce_analytics::compare(&mut snapshot).await;
                    observation.projection = Some(comparison.map_err(cannot_check)?);
                }
                _ => {}
            }
            snapshot.close().await.map_err(cannot_check)?;
        }
        if !observation.absent.contains("payment") {
            let mut psp = storage.snapshot("psp").await.map_err(cannot_check)?;
            observation.read_provider(&mut psp).await?;
            psp.close().await.map_err(cannot_check)?;
        }
        let log = storage.log().read().await.map_err(cannot_check)?;
        observation.log = Log::of(log);
        // A service that has read or written the log was started, and its database is lost.
        for service in &observation.absent {
            if observation.log.has_member(service) {
                let lost = storage.snapshot(service).await.map_err(cannot_check)?;
                lost.close().await.map_err(cannot_check)?;
            }
        }
        let changes = observation.orders.values().map(|order| order.since);
        observation.as_of = if running {
            micros_since_epoch(SystemClock::new().now())
        } else {
            changes.fold(observation.log.newest, i64::max)
        };
        Ok(observation)
    }

    async fn read_versions(
        &mut self,
        topic: &'static str,
        query: &'static str,
        snapshot: &mut Snapshot,
    ) -> Result<(), Failure> {
        let rows: Vec<(String, i64)> = snapshot.all(query).await.map_err(cannot_check)?;
        let rows = rows.into_iter();
        self.versions
            .extend(rows.map(|(key, version)| ((topic, key), version)));
        Ok(())
    }
}
