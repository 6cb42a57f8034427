//! Projects a batch of events into facts and counts.

use std::collections::BTreeSet;

use commerce_chassis::Connection;
use mainstay_inbox::{HandlerError, Handlers, Received};

use crate::{
    counts::Counts,
    fact::{Change, Fact, KINDS},
    store,
};

pub(crate) fn handlers() -> Handlers<Connection> {
    Handlers::new().on_messages(&KINDS, project)
}

/// Reads the facts of all orders of the batch, takes the events, and writes what has changed.
pub(crate) async fn project(
    tx: &mut Connection,
    received: Vec<Received<()>>,
) -> Result<(), HandlerError> {
    let mut changes = Vec::with_capacity(received.len());
    for (place, received) in received.iter().enumerate() {
        let change = Change::read(&received.message);
        changes.extend(change.map_err(|error| HandlerError::permanent(error).at(place))?);
    }
    if changes.is_empty() {
        return Ok(());
    }
    // One transaction at a time projects, so that facts and counts never part.
    let projection = store::lock(tx).await?;
    let ids: BTreeSet<&str> = changes.iter().map(|change| &*change.order_id).collect();
    let before = store::facts(tx, &ids).await?;
    let mut facts = before.clone();
    for change in changes {
        let fact: &mut Fact = facts.entry(change.order_id.clone()).or_default();
        fact.take(change);
    }
    facts.retain(|order_id, fact| before.get(order_id) != Some(fact));
    store::save_facts(tx, &facts).await?;
    for generation in projection.generations() {
        let mut counts = Counts::default();
        for (order_id, fact) in &facts {
            if !projection.has_counted(generation, order_id) {
                continue;
            }
            if let Some(before) = before.get(order_id) {
                counts.remove_order(before);
            }
            counts.add_order(fact);
        }
        store::add(tx, generation, &counts).await?;
    }
    Ok(())
}
