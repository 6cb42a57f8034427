//! Waiting for a running deployment to come to rest.

use std::time::Duration;

use commerce_chassis::{FileLook, Place, Result};
use mainstay_clock::{Clock, SystemClock};

use crate::{
    config::SERVICES,
    error::{Failure, cannot_check},
    serve::is_running,
};

/// Waits until nothing is in flight, at most `settle`; a stopped deployment rests already.
pub(crate) async fn wait(place: &Place, settle: Duration) -> Result<(), Failure> {
    let clock = SystemClock::new();
    let until = clock.monotonic() + settle;
    while !until.has_passed_at(clock.monotonic())
        && is_running(place.data())
        && !is_quiet(place).await.map_err(cannot_check)?
    {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn is_quiet(place: &Place) -> Result<bool> {
    for service in SERVICES {
        let query = match service {
            "order" => {
                "SELECT EXISTS (SELECT 1 FROM outbox)
                     OR EXISTS (SELECT 1 FROM orders WHERE status NOT IN ('completed', 'cancelled'))"
            }
            "payment" => {
                "SELECT EXISTS (SELECT 1 FROM outbox) OR EXISTS (SELECT 1 FROM intents WHERE done = 0)"
            }
            "shipping" => {
                "SELECT EXISTS (SELECT 1 FROM outbox) OR EXISTS (SELECT 1 FROM shipments WHERE due_at IS NOT NULL)"
            }
            _ => "SELECT EXISTS (SELECT 1 FROM outbox)",
        };
        let mut look = place.look(service).await?;
        let found: Vec<(bool,)> = look.all(query).await?;
        look.close().await?;
        if found.iter().any(|(busy,)| *busy) {
            return Ok(false);
        }
    }
    let lag = "SELECT EXISTS (SELECT 1 FROM broker_claims c JOIN broker_partitions p ON p.id = c.partition
                              WHERE c.committed < p.next_offset)";
    let mut broker = FileLook::open(place.data(), "broker").await?;
    let found: Vec<(bool,)> = broker.all(lag).await?;
    broker.close().await?;
    Ok(!found.iter().any(|(busy,)| *busy))
}
