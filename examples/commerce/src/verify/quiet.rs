//! Waiting for a running deployment to come to rest.

use std::{path::Path, time::Duration};

use mainstay_clock::{Clock, SystemClock};

use super::files::File;
use crate::{config::SERVICES, error::Failure, serve::is_running};

/// Waits until nothing is in flight, at most `settle`; a stopped deployment rests already.
pub(crate) async fn wait(data: &Path, settle: Duration) -> Result<(), Failure> {
    let clock = SystemClock::new();
    let until = clock.monotonic() + settle;
    while !until.has_passed_at(clock.monotonic()) && is_running(data) && !is_quiet(data).await? {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn is_quiet(data: &Path) -> Result<bool, Failure> {
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
        if busy(data, service, query).await? {
            return Ok(false);
        }
    }
    let lag = "SELECT EXISTS (SELECT 1 FROM broker_claims c JOIN broker_partitions p ON p.id = c.partition
                              WHERE c.committed < p.next_offset)";
    Ok(!busy(data, "broker", lag).await?)
}

async fn busy(data: &Path, name: &str, query: &'static str) -> Result<bool, Failure> {
    let mut file = File::open(data, name).await?;
    let found: Vec<(bool,)> = file.all(query).await?;
    file.close().await?;
    Ok(found.iter().any(|(busy,)| *busy))
}
