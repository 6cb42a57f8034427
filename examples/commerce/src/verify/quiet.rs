//! Waits until a running deployment has nothing in progress.

use std::time::Duration;

use commerce_chassis::{LogProgress, Result, Storage};
use mainstay_clock::{Clock, SystemClock};

use crate::{
    config::SERVICES,
    error::{Failure, cannot_check},
    serve::is_running,
};

/// Interval between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Messages that a service is to publish, and those that wait for an operator.
const MESSAGES: &str = "SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM dlq_messages WHERE state IN ('dead', 'held'))";

/// Waits until nothing is in progress, at most for `settle`, and reports the wait. A stopped
/// deployment has nothing in progress.
///
/// The databases are read one after the other, and a service that was read may handle a message
/// while the next one is read. So it takes a second look that finds the log as the first one left
/// it, with no message to handle: no service has done anything in between.
pub(crate) async fn wait(
    storage: &Storage,
    settle: Duration,
    report: &(impl Fn(&str) + Sync + ?Sized),
) -> Result<(), Failure> {
    if settle.is_zero() {
        return Ok(());
    }
    let clock = SystemClock::new();
    let seconds = settle.as_secs();
    let mut report_at = clock.monotonic();
    let until = report_at + settle;
    let mut last = None;
    while is_running(storage.data()) {
        let (mut unfinished, log) = look(storage).await.map_err(cannot_check)?;
        let now = clock.monotonic();
        let before = last.replace(log);
        if unfinished.is_empty() {
            match before {
                None => continue,
                Some(before) if before == log => return Ok(()),
                Some(_) => unfinished.push("messages that were just handled".to_owned()),
            }
        }
        let unfinished = unfinished.join(", ");
        if until.has_passed_at(now) {
            report(&format!(
                "after {seconds} s the deployment still has in progress: {unfinished}; \
                 stop its traffic, or give --settle more seconds"
            ));
            return Ok(());
        }
        if report_at.has_passed_at(now) {
            report(&format!(
                "waiting at most {seconds} s, in progress: {unfinished}"
            ));
            report_at = now + REPORT_INTERVAL;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// The work in progress, such as `3 orders that have not ended`, and how far the log is.
async fn look(storage: &Storage) -> Result<(Vec<String>, LogProgress)> {
    let (mut unfinished, mut started) = (Vec::new(), Vec::new());
    let mut note = |count: i64, what: &str| {
        if count > 0 {
            unfinished.push(format!("{count} {what}"));
        }
    };
    for service in SERVICES {
        let Some(mut snapshot) = storage.find_snapshot(service).await? else {
            continue; // never started
        };
        started.push(service);
        let waiting: Vec<(i64, i64)> = snapshot.all(MESSAGES).await?;
        for (outbox, letters) in waiting {
            note(outbox, &format!("messages in the outbox of {service}"));
            note(
                letters,
                &format!("messages in the dead letter queue of {service}"),
            );
        }
        if let Some((query, what)) = work_of(service) {
            let open: Vec<(i64,)> = snapshot.all(query).await?;
            for (count,) in open {
                note(count, what);
            }
        }
        snapshot.close().await?;
    }
    let log = storage.log().progress(&started).await?;
    note(log.unread, "messages of the log to handle");
    Ok((unfinished, log))
}

/// What else a service has in progress: how many, and of what.
fn work_of(service: &str) -> Option<(&'static str, &'static str)> {
    match service {
        "order" => Some((
            "SELECT count(*) FROM order_view WHERE status NOT IN ('completed', 'cancelled')",
            "orders that have not ended",
        )),
        "payment" => Some(("SELECT count(*) FROM intents", "payments to settle")),
        "notification" => Some((
            "SELECT count(*) FROM notifications WHERE due_at IS NOT NULL",
            "notifications to send",
        )),
        "shipping" => Some((
            "SELECT count(*) FROM shipments WHERE due_at IS NOT NULL",
            "shipments on their way",
        )),
        _ => None,
    }
}
