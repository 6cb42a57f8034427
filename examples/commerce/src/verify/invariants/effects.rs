//! I5: each command of a saga has its effect once, and one answer.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use commerce_contracts::SUBSCRIPTIONS;
use mainstay_saga::{Attempt, CommandId};

use super::super::{
    finding::Finding,
    log::Record,
    observation::{Mailbox, Observation},
};

/// The ids of the answers to each command.
type Answers<'a> = HashMap<CommandId, BTreeSet<&'a str>>;

pub(super) fn check(observation: &Observation) -> Finding {
    let mut finding = Finding::new(
        "I5",
        "each command had its effect and answer once",
        "commands",
    );
    let (answers, unreadable) = (answers(observation), observation.log.unreadable());
    let mut seen: HashSet<&str> = HashSet::new();
    for record in &observation.log.records {
        let Some(envelope) = &record.envelope else {
            continue;
        };
        let Some(command) = envelope.command() else {
            continue;
        };
        if !seen.insert(&envelope.id) {
            continue;
        }
        finding.checked += 1;
        let times = answers.get(&command).map_or(0, BTreeSet::len);
        let what = format!("{} {command}", envelope.kind);
        if times > 1 {
            finding.offends(format!("{what} was answered {times} times"));
        }
        let run = observation.runs.get(command.run.as_str());
        let is_answered = run.is_some_and(|run| run.answered.contains(&envelope.id));
        let is_excused = record
            .order_id
            .as_deref()
            .is_some_and(|order_id| unreadable.contains(order_id));
        if times == 0 && !is_excused && (is_answered || is_due(observation, record, &command)) {
            finding.offends(format!("{what} was handled, and its answer is lost"));
        }
    }
    booked(observation, &mut finding);
    moved(observation, &mut finding);
    finding
}

fn answers(observation: &Observation) -> Answers<'_> {
    let records = observation.log.records.iter();
    let logged = records.filter_map(|record| record.envelope.as_ref());
    let mailboxes = observation.mailboxes.values();
    let rows = mailboxes.flat_map(Mailbox::unpublished);
    let waiting = rows.filter_map(|row| row.envelope.as_ref());
    let mut answers = Answers::new();
    for envelope in logged.chain(waiting) {
        if let Some(command) = envelope.answers() {
            answers.entry(command).or_default().insert(&envelope.id);
        }
    }
    answers
}

/// Whether a command was handled, and nothing is left to do before it is answered.
fn is_due(observation: &Observation, record: &Record, command: &CommandId) -> bool {
    let Some(envelope) = &record.envelope else {
        return false;
    };
    let mut subscriptions = SUBSCRIPTIONS.iter();
    let handling = subscriptions.find(|it| it.handles(&record.topic, &envelope.kind));
    let Some(mailbox) = handling.and_then(|it| observation.mailboxes.get(it.service)) else {
        return false;
    };
    let identity = (envelope.source.clone(), envelope.id.clone());
    let mut letters = mailbox.letters.iter();
    let is_kept = letters
        .any(|letter| letter.event_id.as_ref() == Some(&envelope.id) && !letter.is_replayed());
    if !mailbox.processed.contains(&identity) || is_kept {
        return false;
    }
    // What is undone needs no answer but that of the undo.
    let undo = CommandId::new(command.run.clone(), &*command.step, Attempt::Undo);
    let run = observation.runs.get(command.run.as_str());
    let is_undone = run.is_none_or(|run| run.sent.contains(&undo.to_string()));
    if is_undone && command.attempt != Attempt::Undo {
        return false;
    }
    let order_id = record.order_id.as_deref().unwrap_or_default();
    let payment = observation.payments.get(order_id);
    let shipment = observation.shipments.get(order_id);
    !payment.is_some_and(|payment| payment.has_intent)
        && !shipment.is_some_and(|shipment| shipment.is_due)
}

/// The provider has done each operation of the ledger, once.
fn booked(observation: &Observation, finding: &mut Finding) {
    for (order_id, payment) in &observation.payments {
        for (name, operation) in &payment.operations {
            let done = payment.at_provider.get(name).map(|(_, amount)| *amount);
            if done != Some(operation.amount) {
                let amount = operation.amount;
                finding.offends(format!(
                    "ledger operation {name} of order {order_id} moves {amount}, the provider {}",
                    done.unwrap_or(0)
                ));
            }
        }
    }
}

/// Each line of a dispatched order left the warehouse, once.
fn moved(observation: &Observation, finding: &mut Finding) {
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for (order_id, reservation) in &observation.reservations {
        if reservation.state == "committed" {
            let lines = reservation.lines.iter();
            expected.extend(lines.map(|(sku, of)| (format!("dispatch:{order_id}:{sku}"), -of)));
        }
    }
    let returned = returned(observation);
    for movement in &observation.movements {
        let name = &movement.name;
        // An operator may move any quantity; the table's key keeps it to once.
        if name.starts_with("opening:") || name.starts_with("adjust:") {
            continue;
        }
        let quantity = expected
            .remove(name)
            .or_else(|| returned.get(name).copied());
        if quantity != Some(movement.quantity) {
            finding.offends(format!(
                "movement {name} is of {}, not of {}",
                movement.quantity,
                quantity.unwrap_or(0)
            ));
        }
    }
    for name in expected.keys() {
        finding.offends(format!("movement {name} is missing"));
    }
}

/// The movements of parcels that came back.
fn returned(observation: &Observation) -> BTreeMap<String, i64> {
    let shipments = observation.shipments.iter();
    let returned = shipments.filter(|(_, shipment)| shipment.reached.contains("returned"));
    let lines = returned.filter_map(|(order_id, _)| {
        let reservation = observation.reservations.get(order_id)?;
        let lines = reservation.lines.iter();
        Some(lines.map(move |(sku, of)| (format!("return:{order_id}:{sku}"), *of)))
    });
    lines.flatten().collect()
}
