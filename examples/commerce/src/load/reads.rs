//! Reads beside the orders: lists and products of the catalog, and accepted orders. Each is
//! sent when it is due, as the orders are.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::http::StatusCode;
use mainstay_clock::{Clock, IdGenerator, Monotonic, SystemClock, SystemIds};
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{Latency, until};
use crate::{client::Client, demand::below};

/// What is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// Products: lists, searches and single ones.
    Catalog,
    /// Accepted orders.
    Orders,
}

/// Ids of accepted orders.
pub(super) type Accepted = Arc<Mutex<Vec<String>>>;

/// The results of one kind of reads.
#[derive(Debug)]
pub(crate) struct Reads {
    pub(crate) name: &'static str,
    pub(crate) rate: u32,
    pub(crate) asked: u32,
    pub(crate) answers: BTreeMap<String, u32>,
    pub(crate) latency: Latency,
}

impl Reads {
    fn new(what: What, rate: u32) -> Self {
        Self {
            name: match what {
                What::Catalog => "catalog reads",
                What::Orders => "order reads",
            },
            rate,
            asked: 0,
            answers: BTreeMap::new(),
            latency: Latency::new(),
        }
    }

    fn count(&mut self, outcome: String, latency: Duration) {
        *self.answers.entry(outcome).or_default() += 1;
        self.latency.record(latency);
    }

    /// Whether every read found what it asked for.
    pub(crate) fn is_good(&self) -> bool {
        self.answers
            .keys()
            .all(|outcome| outcome.starts_with("200"))
    }
}

/// Reads `rate` times a second until `end`.
pub(super) fn spawn(
    what: What,
    rate: u32,
    concurrency: u32,
    client: Client,
    accepted: Accepted,
    end: CancellationToken,
) -> JoinHandle<Reads> {
    tokio::spawn(async move {
        let (clock, ids) = (SystemClock::new(), SystemIds::new());
        let in_flight = Arc::new(Semaphore::new(concurrency as usize));
        let mut reads = Reads::new(what, rate);
        let mut requests = JoinSet::new();
        let started = clock.monotonic();
        while !end.is_cancelled() {
            let due = started + Duration::from_secs_f64(f64::from(reads.asked) / f64::from(rate));
            if end.run_until_cancelled(until(due)).await.is_none() {
                break;
            }
            while let Some(Ok((outcome, latency))) = requests.try_join_next() {
                reads.count(outcome, latency);
            }
            reads.asked += 1;
            if let Some(path) = path(what, &ids, &accepted) {
                let (client, in_flight) = (client.clone(), Arc::clone(&in_flight));
                requests.spawn(async move { read(&client, &path, due, &in_flight).await });
            }
        }
        for (outcome, latency) in requests.join_all().await {
            reads.count(outcome, latency);
        }
        reads
    })
}

async fn read(
    client: &Client,
    path: &str,
    due: Monotonic,
    in_flight: &Semaphore,
) -> (String, Duration) {
    let permit = in_flight.acquire().await;
    let answered = client.status_of(path).await;
    drop(permit);
    let outcome = answered.map_or_else(
        |failure| failure.to_string(),
        |status: StatusCode| status.to_string(),
    );
    (outcome, SystemClock::new().monotonic() - due)
}

/// None = there is nothing to read yet.
fn path(what: What, ids: &dyn IdGenerator, accepted: &Accepted) -> Option<String> {
    match what {
        What::Catalog => Some(match below(ids, 10) {
            0..=1 => "/api/v1/products?q=tea".to_owned(),
            2..=4 => "/api/v1/products?limit=20".to_owned(),
            _ => format!("/api/v1/products/SKU-{:03}", 1 + below(ids, 200)),
        }),
        What::Orders => {
            let accepted = accepted.lock().unwrap_or_else(PoisonError::into_inner);
            let drawn = below(ids, u64::try_from(accepted.len()).ok()?.max(1));
            let order = accepted.get(usize::try_from(drawn).ok()?)?;
            Some(format!("/api/v1/orders/{order}"))
        }
    }
}
