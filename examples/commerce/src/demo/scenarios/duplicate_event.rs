//! Brokers deliver a message at least once. Here each message of an order comes twice.

use serde_json::Value;

use super::{
    super::{recorded::Recorded, stage::Stage},
    WHOLE_WAY,
};
use crate::error::Failure;

pub(in super::super) async fn run(stage: &mut Stage) -> Result<(), Failure> {
    let storage = stage.beside.running()?;
    stage.story.step("An order is placed and delivered")?;
    let Some(order) = stage.place(&[("SKU-004", 1)], "pm_ok").await? else {
        return Ok(());
    };
    if stage.follow(&order, &WHOLE_WAY).await?.is_none() {
        return Ok(());
    }
    let before = seen(stage, &order).await?;

    stage
        .story
        .step("Each of its messages is published once more, as a broker may do")?;
    let log = Recorded::open(storage).await?;
    let messages = log.of(&order).await?;
    for message in &messages {
        stage
            .story
            .note(&format!("{} on {}", message.kind, message.topic))?;
    }
    log.publish(&messages).await?;
    let read = async || Ok(log.is_read(&order).await?.then_some(()));
    let what = "every service has read the second ones";
    stage.story.wait_for(what, read).await?;

    stage.story.step("Nothing happened twice")?;
    let after = seen(stage, &order).await?;
    for ((path, before), (_, after)) in before.iter().zip(&after) {
        stage
            .story
            .expect(&format!("{path} is as before"), before == after)?;
    }
    let kept = log.kept(&order).await?;
    stage
        .story
        .expect("no dead letter queue has one of them", kept == 0)
}

/// What all services say about the order.
async fn seen(stage: &Stage, order: &str) -> Result<Vec<(String, Value)>, Failure> {
    let mut seen = Vec::new();
    for path in [
        format!("/api/v1/orders/{order}"),
        format!("/api/v1/orders/{order}/events"),
        format!("/api/v1/orders/{order}/timeline"),
        format!("/api/v1/payments/{order}/ledger"),
        format!("/api/v1/shipments/{order}"),
    ] {
        let page = stage.client.get(&path).await?;
        seen.push((path, page.unwrap_or_default()));
    }
    Ok(seen)
}
