//! Waiting for a running deployment to come to rest.

use std::{io::Write as _, time::Duration};

use commerce_chassis::{FileLook, Place, Result};
use mainstay_clock::{Clock, SystemClock};

use crate::{
    config::SERVICES,
    error::{Failure, cannot_check},
    serve::is_running,
};

/// Between two lines about what is waited for.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Waits until nothing is in flight, at most `settle`, and says on stderr what it waits for. A stopped deployment is
/// at rest.
pub(crate) async fn wait(place: &Place, settle: Duration) -> Result<(), Failure> {
    if settle.is_zero() {
        return Ok(());
    }
    let clock = SystemClock::new();
    let seconds = settle.as_secs();
    let mut say_at = clock.monotonic();
    let until = say_at + settle;
    while is_running(place.data()) {
        let unfinished = unfinished(place).await.map_err(cannot_check)?;
        let now = clock.monotonic();
        if unfinished.is_empty() {
            return Ok(());
        }
        let unfinished = unfinished.join(", ");
        if until.has_passed_at(now) {
            say(&format!(
                "the deployment did not come to rest within {seconds} s, still in progress: {unfinished}; \
                 stop its traffic, or wait longer with --settle"
            ));
            return Ok(());
        }
        if say_at.has_passed_at(now) {
            say(&format!(
                "waiting at most {seconds} s for the deployment to come to rest, in progress: {unfinished}"
            ));
            say_at = now + SAY_EVERY;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

fn say(line: &str) {
    // The verdict counts, not these lines: stderr may be closed.
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// What is in flight, such as `3 orders that have not ended`.
async fn unfinished(place: &Place) -> Result<Vec<String>> {
    let mut unfinished = Vec::new();
    let mut note = |count: i64, what: &str| {
        if count > 0 {
            unfinished.push(format!("{count} {what}"));
        }
    };
    for service in SERVICES {
        let (query, what) = match service {
            "order" => (
                "SELECT (SELECT count(*) FROM outbox),
                        (SELECT count(*) FROM orders WHERE status NOT IN ('completed', 'cancelled'))",
                "orders that have not ended",
            ),
            "payment" => (
                "SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM intents WHERE done = 0)",
                "payments to settle",
            ),
            "shipping" => (
                "SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM shipments WHERE due_at IS NOT NULL)",
                "shipments on their way",
            ),
            _ => ("SELECT (SELECT count(*) FROM outbox), CAST(0 AS BIGINT)", ""),
        };
        let mut look = place.look(service).await?;
        let found: Vec<(i64, i64)> = look.all(query).await?;
        look.close().await?;
        for (outbox, others) in found {
            note(outbox, &format!("messages in the outbox of {service}"));
            note(others, what);
        }
    }
    let lag = "SELECT CAST(coalesce(sum(p.next_offset - c.committed), 0) AS BIGINT)
               FROM broker_claims c JOIN broker_partitions p ON p.id = c.partition WHERE c.committed < p.next_offset";
    let mut broker = FileLook::open(place.data(), "broker").await?;
    let found: Vec<(i64,)> = broker.all(lag).await?;
    broker.close().await?;
    for (records,) in found {
        note(records, "messages of the log to handle");
    }
    Ok(unfinished)
}
