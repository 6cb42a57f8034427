//! Simulates two instances of the service on a database and a broker in memory, under seeded
//! faults.
//!
//! `MAINSTAY_SEED=17 cargo test -p commerce-inventory simulated` runs one seed.

mod service;

use std::{collections::BTreeMap, time::Duration};

use commerce_contracts::{
    Address, CancelReason, Contract, Currency, Money, OrderCancelled, OrderId, OrderLine,
    OrderPlaced, Sku,
};
use mainstay_database::memory::Inserted;
use mainstay_messaging::{Message, Publisher as _, Topic, broker::PublishOutcome};
use mainstay_simulation::{Sim, Topology, entry, judge, simulate};
use mainstay_testkit::{History, history::Effect};

use crate::{reservation::State, shelf::Level};
use service::{Failure, Handled, Reservation, Stock};

const ORDERS: usize = 15;

#[test]
fn under_faults_each_order_is_answered_once_and_no_stock_is_held_twice() {
    let instances = vec!["inventory-1".into(), "inventory-2".into()];
    let topology = Topology {
        relays: instances.clone(),
        workers: instances,
        partitions: 2,
        within: Duration::from_secs(4),
        ..Topology::default()
    };
    simulate(0..40, &topology, async |sim| {
        play(sim)
            .await
            .unwrap_or_else(|error| vec![error.to_string()])
    });
}

async fn play(sim: &Sim) -> Result<Vec<String>, Failure> {
    for topic in ["order", "inventory"] {
        sim.broker()
            .create_topic(&Topic::from_static(topic), 2)
            .await?;
    }
    stock_up(sim).await?;
    sim.host("inventory-1", service::run);
    sim.host("inventory-2", service::run);
    let orders = orders()?;
    for message in &orders {
        let outcomes = sim
            .broker()
            .publisher()
            .publish(std::slice::from_ref(message))
            .await;
        assert!(
            matches!(outcomes[..], [PublishOutcome::Acknowledged]),
            "{outcomes:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    sim.heal();
    let quiet = sim.until(Duration::from_secs(300), async || {
        is_quiet(sim, &orders).await
    });
    let mut wrong = if quiet.await {
        Vec::new()
    } else {
        vec!["it never came to its end".to_owned()]
    };
    wrong.extend(judge(&history(sim, &orders).await?));
    wrong.extend(miscounted(sim).await?);
    Ok(wrong)
}

/// Each message is handled, and each emitted message is in the log.
async fn is_quiet(sim: &Sim, orders: &[Message]) -> bool {
    let Ok(handled) = sim.read(|tables| tables.scan::<Handled>(..)).await else {
        return false;
    };
    let emitted = handled
        .iter()
        .filter_map(|handled| handled.emitted.as_ref());
    let published = sim.history().published;
    let mut emitted = emitted.map(|message| entry(message).id);
    handled.len() >= orders.len() && emitted.all(|id| published.iter().any(|r| r.entry.id == id))
}

/// The history of the simulation, with the effects that the service recorded.
async fn history(sim: &Sim, orders: &[Message]) -> Result<History, Failure> {
    let handled = sim.read(|tables| tables.scan::<Handled>(..)).await?;
    let emitted = handled
        .iter()
        .filter_map(|handled| handled.emitted.as_ref());
    let effect = |handled: &Handled| Effect {
        consumer: service::group().to_string(),
        entry: entry(&handled.message),
    };
    Ok(History {
        committed: orders.iter().chain(emitted).map(entry).collect(),
        effects: handled.iter().map(effect).collect(),
        ..sim.history()
    })
}

/// Held stock is at most the stock on hand, and equals the sum of the reservations.
async fn miscounted(sim: &Sim) -> Result<Vec<String>, Failure> {
    let (stock, reservations) = sim
        .read(|tables| (tables.scan::<Stock>(..), tables.scan::<Reservation>(..)))
        .await?;
    let mut held: BTreeMap<&Sku, i64> = BTreeMap::new();
    for reservation in reservations.iter().filter(|r| r.state == State::Held) {
        for (sku, quantity) in &reservation.lines {
            *held.entry(sku).or_default() += quantity;
        }
    }
    let wrong = stock.iter().filter(|stock| {
        let held = held.get(&stock.sku).copied().unwrap_or_default();
        stock.level.reserved != held || held > stock.level.on_hand
    });
    Ok(wrong
        .map(|stock| format!("{stock:?}, and held is {held:?}"))
        .collect())
}

async fn stock_up(sim: &Sim) -> Result<(), Failure> {
    let mut tx = sim.database().begin().await?;
    for number in 0..3 {
        let level = Level {
            on_hand: 6,
            reserved: 0,
        };
        let stock = Stock {
            sku: sku(number),
            level,
        };
        let _: Inserted = tx.statement().await?.insert(stock).await?;
    }
    Ok(sim.database().commit(tx).await?)
}

fn sku(number: usize) -> Sku {
    Sku::new(format!("SKU-{number}"))
}

/// Orders of two lines each, for more stock than there is. Every third one is cancelled; half of
/// these cancellations come before the order.
fn orders() -> Result<Vec<Message>, Failure> {
    let mut messages = Vec::new();
    for number in 0..ORDERS {
        let order_id = OrderId::new(format!("order-{number}"));
        let placed = message(&placed(&order_id, number))?;
        let cancelled = message(&cancelled(&order_id))?;
        match number % 6 {
            0 => messages.extend([placed, cancelled]),
            3 => messages.extend([cancelled, placed]),
            _ => messages.push(placed),
        }
    }
    Ok(messages)
}

fn placed(order_id: &OrderId, number: usize) -> OrderPlaced {
    let line = |line_no: u32, sku| OrderLine {
        line_no,
        sku,
        qty: line_no.into(),
        unit_price_minor: Money::ZERO,
        tax_minor: Money::ZERO,
    };
    OrderPlaced {
        order_id: order_id.clone(),
        customer_id: "customer".to_owned(),
        currency: Currency::Eur,
        lines: vec![line(1, sku(number % 3)), line(2, sku((number + 1) % 3))],
        subtotal_minor: Money::ZERO,
        shipping_minor: Money::ZERO,
        tax_minor: Money::ZERO,
        discount_minor: Money::ZERO,
        total_minor: Money::ZERO,
        ship_to: Address {
            name: String::new(),
            street: String::new(),
            city: String::new(),
            postcode: String::new(),
            country: String::new(),
        },
    }
}

fn cancelled(order_id: &OrderId) -> OrderCancelled {
    OrderCancelled {
        order_id: order_id.clone(),
        customer_id: "customer".to_owned(),
        reason: CancelReason {
            code: "changed_mind".to_owned(),
            detail: String::new(),
        },
        stage: "placed".to_owned(),
        compensations: Vec::new(),
    }
}

/// A message as the order service emits it.
fn message<C: Contract>(contract: &C) -> Result<Message, Failure> {
    let id = format!("{}:{}", C::KIND, contract.order_id());
    Ok(Message::builder()
        .id(id)
        .source("/order")
        .event(contract)
        .build()?)
}
