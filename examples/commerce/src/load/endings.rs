//! The ends of accepted orders. They are read after the load, a few at a time, so that reading adds
//! no load. An order's history says how long it took.

use std::time::Duration;

use commerce_chassis::from_rfc3339;
use mainstay_clock::{Clock, Monotonic, SystemClock};
use tokio::task::JoinSet;

use crate::client::{Client, Shown};

/// Orders that are read concurrently.
const WATCHED: usize = 8;

/// An order's last status, why it was cancelled if it was, and, if it is terminal, the time it took.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) took: Option<Duration>,
}

/// Waits for orders to end, oldest first, until a deadline.
pub(crate) async fn wait(client: &Client, orders: Vec<String>, until: Monotonic) -> Vec<Ending> {
    let mut watches = JoinSet::new();
    let mut endings = Vec::with_capacity(orders.len());
    for order_id in orders {
        if watches.len() >= WATCHED {
            endings.extend(watches.join_next().await.and_then(Result::ok));
        }
        let client = client.clone();
        watches.spawn(async move { watch(&client, &order_id, until).await });
    }
    endings.extend(watches.join_all().await);
    endings
}

async fn watch(client: &Client, order_id: &str, until: Monotonic) -> Ending {
    let clock = SystemClock::new();
    loop {
        let status = match client.show(order_id).await {
            Ok(shown) if shown.has_ended() => {
                return Ending {
                    took: took(&shown),
                    reason: shown.reason().to_owned(),
                    status: shown.status,
                };
            }
            Ok(shown) => shown.status,
            Err(failure) => failure.to_string(),
        };
        if until.has_passed_at(clock.monotonic()) {
            return Ending {
                status,
                reason: String::new(),
                took: None,
            };
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn took(shown: &Shown) -> Option<Duration> {
    let first = from_rfc3339(&shown.history.first()?.at)?;
    let last = from_rfc3339(&shown.history.last()?.at)?;
    Some(Duration::from_micros(u64::try_from(last - first).ok()?))
}
