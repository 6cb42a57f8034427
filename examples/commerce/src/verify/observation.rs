//! The contents of all databases, in memory.

mod mailbox;
mod orders;
mod participants;
mod sagas;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use commerce_chassis::Storage;
use mainstay_clock::{Clock as _, SystemClock};
use mainstay_messaging::envelope::micros_since_epoch;

use super::log::Log;
use crate::{
    config::SERVICES,
    error::{Failure, cannot_check},
};

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
            let mut snapshot = storage.snapshot(service).await.map_err(cannot_check)?;
            let mailbox = Mailbox::read(&mut snapshot).await.map_err(cannot_check)?;
            observation.mailboxes.insert(service, mailbox);
            match service {
                "order" => {
                    observation.read_orders(&mut snapshot).await?;
                    observation.read_runs(&mut snapshot).await?;
                }
                "inventory" => observation.read_inventory(&mut snapshot).await?,
                "payment" => observation.read_payments(&mut snapshot).await?,
                _ => observation.read_shipments(&mut snapshot).await?,
            }
            snapshot.close().await.map_err(cannot_check)?;
        }
        let mut psp = storage.snapshot("psp").await.map_err(cannot_check)?;
        observation.read_provider(&mut psp).await?;
        psp.close().await.map_err(cannot_check)?;
        let log = storage.log().read().await.map_err(cannot_check)?;
        observation.log = Log::of(log);
        let changes = observation.orders.values().map(|order| order.since);
        observation.as_of = if running {
            micros_since_epoch(SystemClock::new().now())
        } else {
            changes.fold(observation.log.newest, i64::max)
        };
        Ok(observation)
    }
}
