//! A thousand customers want the same scarce product at the same time.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use mainstay_clock::{Clock as _, IdGenerator as _, SystemClock, SystemIds};
use tokio::{sync::Semaphore, task::JoinSet};

use super::super::stage::Stage;
use crate::{client::Client, demand::order_of, error::Failure, load::endings};

const CUSTOMERS: usize = 1_000;
/// Requests in progress at most: below the limit of the shop.
const AT_ONCE: usize = 128;
/// A thousand orders take seconds, and longer on a busy machine.
const LONGEST: Duration = Duration::from_secs(180);
/// So begins the reason of an order that a service did not answer in time: the machine was too busy.
const TIMED_OUT: &str = "timed_out";
/// Products of which few pieces exist.
const SCARCE: [&str; 3] = ["SKU-198", "SKU-199", "SKU-200"];

pub(in super::super) async fn run(stage: &mut Stage) -> Result<(), Failure> {
    stage.story.step("A product of which few pieces exist")?;
    let Some((sku, pieces)) = scarce(stage).await? else {
        let sold = SCARCE.join(", ");
        let what = format!("some of {sold} is left; start with a new --data");
        return stage.story.expect(&what, false);
    };
    stage.story.note(&format!("{pieces} pieces of {sku}"))?;

    stage.story.step(&format!(
        "{CUSTOMERS} customers order one piece each, at once"
    ))?;
    let mut orders = place(&stage.client, sku, CUSTOMERS).await?;
    stage
        .story
        .expect("all orders are accepted", orders.len() == CUSTOMERS)?;

    stage.story.step("Every order ends")?;
    let clock = SystemClock::new();
    let until = clock.monotonic() + LONGEST;
    let (mut completed, mut cancelled) = (0, 0);
    loop {
        let placed = orders.len();
        let endings = endings::wait(&stage.client, orders, until).await;
        let ended = |status: &str| endings.iter().filter(|it| it.status == status).count();
        let gave_up = endings.iter().filter(|it| it.reason.starts_with(TIMED_OUT));
        let gave_up = gave_up.count();
        completed += ended("completed");
        cancelled += ended("cancelled");
        stage
            .story
            .note(&format!("{completed} completed, {cancelled} cancelled"))?;
        stage.story.expect(
            "none is stuck",
            ended("completed") + ended("cancelled") == placed,
        )?;
        if gave_up == 0 || until.has_passed_at(clock.monotonic()) {
            break;
        }
        stage.story.note(&format!(
            "{gave_up} took too long: these customers order again"
        ))?;
        orders = place(&stage.client, sku, gave_up).await?;
    }
    stage.story.expect(
        "each piece is sold, and none twice",
        i64::try_from(completed) == Ok(pieces),
    )?;
    // An order ends before inventory has handled the dispatch of its parcel.
    let stock = format!("/api/v1/stock/{sku}");
    stage.link(&stock)?;
    let Stage { story, client, .. } = stage;
    let is_empty = async || {
        let left = client.get(&stock).await?.unwrap_or_default();
        Ok((left["on_hand"] == 0 && left["reserved"] == 0).then_some(()))
    };
    let what = "none is left, and none is held";
    story.wait_for(what, is_empty).await.map(|_| ())
}

/// The first product of which pieces are left, and how many.
async fn scarce(stage: &Stage) -> Result<Option<(&'static str, i64)>, Failure> {
    for sku in SCARCE {
        let stock = stage.see(&format!("/api/v1/stock/{sku}")).await?;
        let pieces = stock["available"].as_i64().unwrap_or(0);
        if pieces > 0 {
            return Ok(Some((sku, pieces)));
        }
    }
    Ok(None)
}

/// Places an order of each customer; the ids of those that were accepted.
async fn place(client: &Client, sku: &str, customers: usize) -> Result<Vec<String>, Failure> {
    let in_progress = Arc::new(Semaphore::new(AT_ONCE));
    let mut requests = JoinSet::new();
    for _ in 0..customers {
        let (client, in_progress) = (client.clone(), Arc::clone(&in_progress));
        let body = order_of(&[(sku, 1)], "pm_ok");
        requests.spawn(async move {
            let _permit = in_progress.acquire().await;
            insist(&client, &body).await
        });
    }
    let mut orders = Vec::new();
    for order in requests.join_all().await {
        orders.extend(order?);
    }
    Ok(orders)
}

/// The shop is busy, or still with the first request of the key.
const BUSY: [StatusCode; 2] = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::CONFLICT];

/// Asks again under the same key when the shop is busy or does not answer, as customers do.
async fn insist(client: &Client, body: &str) -> Result<Option<String>, Failure> {
    let key = SystemIds::new().uuid().to_string();
    let clock = SystemClock::new();
    let until = clock.monotonic() + LONGEST;
    loop {
        let reply = client.place(key.clone(), body.to_owned()).await;
        let is_busy = match &reply {
            Ok(reply) => BUSY.contains(&reply.status),
            Err(_) => true,
        };
        if !is_busy || until.has_passed_at(clock.monotonic()) {
            return Ok(reply?.order_id);
        }
        // As `Retry-After` says.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
