//! Simulates two instances of the service on a database and a broker in memory, under seeded
//! faults. Its rules are the service's own, its tables are in memory.
//!
//! `MAINSTAY_SEED=17 cargo test -p commerce-inventory simulated` runs one seed.

mod service;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use commerce_contracts::{OrderId, Quantity, ReleaseStock, ReserveStock, Sku};
use mainstay_database::memory::Inserted;
use mainstay_messaging::{Event, Message, Publisher as _, Topic, broker::PublishOutcome};
use mainstay_simulation::{Sim, Topology, simulate};

use service::{Failure, Reservation, Stock};

const ORDERS: usize = 15;

#[test]
fn under_faults_each_command_is_answered_once_and_no_stock_is_held_twice() {
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
    for topic in [ReserveStock::TOPIC, "inventory"] {
        sim.broker()
            .create_topic(&Topic::from_static(topic), 2)
            .await?;
    }
    let mut tx = sim.database().begin().await?;
    for number in 0..3 {
        let stock = Stock {
            sku: sku(number),
            on_hand: 6,
            reserved: 0,
        };
        let _: Inserted = tx.statement().await?.insert(stock).await?;
    }
    sim.database().commit(tx).await?;
    sim.host("inventory-1", service::run);
    sim.host("inventory-2", service::run);
    let (commands, due) = commands()?;
    for message in &commands {
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
    let all_answered = async || answers(sim).keys().eq(&due);
    let mut wrong = if sim.until(Duration::from_secs(300), all_answered).await {
        Vec::new()
    } else {
        vec![format!("due were {due:?}, answered is {:?}", answers(sim))]
    };
    let twice = answers(sim).into_iter().filter(|(_, ids)| ids.len() > 1);
    wrong.extend(twice.map(|(command, ids)| format!("{command} is answered by {ids:?}")));
    wrong.extend(miscounted(sim).await?);
    Ok(wrong)
}

/// The ids of the answers in the log, by their command. A relay may publish an answer twice.
fn answers(sim: &Sim) -> BTreeMap<String, BTreeSet<String>> {
    let mut answers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let partitions = sim.broker().partitions().into_iter();
    for partition in partitions.filter(|it| it.topic.as_str() == "inventory") {
        for record in sim.broker().records(&partition, 0) {
            if let Some(message) = record.content.message()
                && let Some(command) = &message.causation_id
            {
                let ids = answers.entry(command.clone()).or_default();
                ids.insert(message.id.to_string());
            }
        }
    }
    answers
}

/// Reserved stock is at most the stock on hand, and equals the sum of the reservations.
async fn miscounted(sim: &Sim) -> Result<Vec<String>, Failure> {
    let (stock, reservations) = sim
        .read(|tables| (tables.scan::<Stock>(..), tables.scan::<Reservation>(..)))
        .await?;
    let mut held: BTreeMap<&Sku, i64> = BTreeMap::new();
    for reservation in reservations.iter().filter(|it| it.state.holds_stock()) {
        for (sku, quantity) in &reservation.lines {
            *held.entry(sku).or_default() += quantity;
        }
    }
    let wrong = stock.iter().filter(|stock| {
        let held = held.get(&stock.sku).copied().unwrap_or_default();
        stock.reserved != held || held > stock.on_hand
    });
    Ok(wrong
        .map(|stock| format!("{stock:?}, and held is {held:?}"))
        .collect())
}

fn sku(number: usize) -> Sku {
    Sku::new(format!("SKU-{number}"))
}

/// Commands for more stock than there is, and which of them are answered. Every third one is
/// undone; half of these undos come before their do, which is then not answered.
fn commands() -> Result<(Vec<Message>, BTreeSet<String>), Failure> {
    let (mut messages, mut due) = (Vec::new(), BTreeSet::new());
    for number in 0..ORDERS {
        let order_id = OrderId::new(format!("order-{number}"));
        let line = |place: usize, qty| Quantity {
            sku: sku((number + place) % 3),
            qty,
        };
        let reserve = ReserveStock {
            order_id: order_id.clone(),
            lines: vec![line(0, 1), line(1, 2)],
        };
        let reserve = message(&reserve, format!("{order_id}:ReserveStock:1"))?;
        let release = ReleaseStock {
            order_id: order_id.clone(),
        };
        let release = message(&release, format!("{order_id}:ReserveStock:undo"))?;
        let answered: &[&Message] = match number % 6 {
            0 => &[&reserve, &release],
            3 => &[&release],
            _ => &[&reserve],
        };
        due.extend(answered.iter().map(|message| message.id.to_string()));
        match number % 6 {
            0 => messages.extend([reserve, release]),
            3 => messages.extend([release, reserve]),
            _ => messages.push(reserve),
        }
    }
    Ok((messages, due))
}

/// A message as the order service sends it.
fn message(event: &impl Event, id: String) -> Result<Message, Failure> {
    let message = Message::builder().id(id).source("/order").event(event);
    Ok(message.build()?)
}
