//! Built-in customers. They call the services without a socket.

use std::time::Duration;

use axum::{Router, body::Body, http::Request};
use commerce_chassis::{Caller, send_as};
use mainstay_clock::{IdGenerator, SystemIds};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::demand::{Mix, TRAFFIC_MIX, order};

/// One order in this many exceeds the stock.
const SHORTAGES: u64 = 40;

pub(crate) async fn run(services: Router, every: Duration, shutdown: CancellationToken) {
    let ids = SystemIds::new();
    let Some(mix) = Mix::read(TRAFFIC_MIX) else {
        return;
    };
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut orders = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let key = ids.uuid().to_string();
        let request = Request::post("/api/v1/orders")
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(Body::from(order(&ids, &mix, SHORTAGES)));
        match request {
            Ok(mut request) => {
                send_as(&mut request, Caller::operator("built-in customers"));
                drop(orders.spawn(services.clone().oneshot(request)));
            }
            Err(error) => tracing::warn!(%error, "a built-in order is not a valid request"),
        }
        while let Some(ended) = orders.try_join_next() {
            match ended {
                Ok(Ok(response)) if response.status().is_success() => {}
                Ok(Ok(response)) => {
                    tracing::warn!(status = %response.status(), "a built-in order was refused");
                }
                Ok(Err(never)) => match never {},
                Err(error) => tracing::warn!(%error, "the task of a built-in order failed"),
            }
        }
    }
    while orders.join_next().await.is_some() {}
}
