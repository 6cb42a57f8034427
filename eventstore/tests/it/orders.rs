//! What the tests store: orders.
#![allow(dead_code, reason = "each store uses some of it")]

use mainstay_eventstore::{Aggregate, Event, Snapshots, events};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) cents: i64,
}

impl Event for Placed {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Placed";
}

#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Noted {
    pub(crate) by: String,
}

impl Event for Noted {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Noted";
}

events! {
    #[derive(Clone, Debug)]
    pub(crate) enum OrderEvent { Placed, Noted }
}

#[derive(Serialize, Deserialize, Default, Debug)]
pub(crate) struct Order {
    pub(crate) notes: Vec<String>,
}

impl Aggregate for Order {
    const STREAM: &'static str = "order";
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) {
        if let OrderEvent::Noted(noted) = event {
            self.notes.push(noted.by.clone());
        }
    }
}

/// The same, and each second event a snapshot is due.
#[derive(Serialize, Deserialize, Default, Debug)]
pub(crate) struct Kept(Order);

impl Aggregate for Kept {
    const STREAM: &'static str = "kept";
    const SNAPSHOTS: Option<Snapshots<Self>> = Some(Snapshots::json(1).every(2));
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) {
        self.0.apply(event);
    }
}

/// The notes of both.
pub(crate) trait Notes: Aggregate<Event = OrderEvent> {
    fn notes(&self) -> &[String];
}

impl Notes for Order {
    fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Notes for Kept {
    fn notes(&self) -> &[String] {
        &self.0.notes
    }
}

pub(crate) fn noted(by: &str) -> OrderEvent {
    let by = by.to_owned();
    Noted { by }.into()
}
