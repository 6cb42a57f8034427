//! What both benches store: orders, whose events have about 256 bytes of payload.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use async_trait::async_trait;
use mainstay_eventstore::{Aggregate, Event, Projection, ProjectionError, Recorded, events};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct Placed {
    pub(crate) cents: u64,
    pub(crate) note: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Paid {
    pub(crate) cents: u64,
    pub(crate) note: String,
}

impl Event for Placed {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Placed";
}

impl Event for Paid {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Paid";
}

events! { pub(crate) enum OrderEvent { Placed, Paid } }

#[derive(Default)]
pub(crate) struct Order {
    pub(crate) cents: u64,
    pub(crate) letters: usize,
}

impl Aggregate for Order {
    const STREAM: &'static str = "order";
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) {
        let (cents, note) = match event {
            OrderEvent::Placed(placed) => (placed.cents, &placed.note),
            OrderEvent::Paid(paid) => (paid.cents, &paid.note),
        };
        self.cents += cents;
        self.letters += note.len();
    }
}

pub(crate) fn event() -> OrderEvent {
    let note = "x".repeat(232);
    OrderEvent::from(Paid { cents: 1, note })
}

pub(crate) fn events_of(count: usize) -> Vec<OrderEvent> {
    (0..count).map(|_| event()).collect()
}

/// As code by hand reads a row.
pub(crate) fn decoded(kind: &str, schema_version: i32, payload: &str) -> OrderEvent {
    assert_eq!(schema_version, 1);
    match kind {
        "Placed" => OrderEvent::Placed(serde_json::from_str(payload).unwrap()),
        "Paid" => OrderEvent::Paid(serde_json::from_str(payload).unwrap()),
        _ => unreachable!("of another kind"),
    }
}

/// As code by hand writes one.
pub(crate) fn encoded(event: &OrderEvent) -> (&'static str, String) {
    match event {
        OrderEvent::Placed(placed) => ("Placed", serde_json::to_string(placed).unwrap()),
        OrderEvent::Paid(paid) => ("Paid", serde_json::to_string(paid).unwrap()),
    }
}

/// A projection that writes nothing.
#[derive(Clone, Default)]
pub(crate) struct Sum(pub(crate) Arc<AtomicU64>);

#[async_trait]
impl<C: Send + 'static> Projection<C> for Sum {
    const NAME: &'static str = "sum";
    const SHAPE: u32 = 1;
    type Aggregate = Order;

    async fn reset(&self, _: &mut C) -> Result<(), ProjectionError> {
        self.0.store(0, Relaxed);
        Ok(())
    }

    async fn project(
        &self,
        _: &mut C,
        events: &[Recorded<OrderEvent>],
    ) -> Result<(), ProjectionError> {
        let mut order = Order::default();
        for recorded in events {
            order.apply(&recorded.event);
        }
        self.0.fetch_add(order.cents, Relaxed);
        Ok(())
    }
}
