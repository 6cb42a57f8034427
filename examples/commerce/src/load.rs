//! `commerce load`: an open-loop load generator. It sends each order when it is due, even if
//! earlier ones are not answered yet. Latency counts from that time, so it includes the stalls of
//! the shop.

pub(crate) mod endings;
mod latency;
mod reads;
mod report;

use std::{
    io::Write,
    process::ExitCode,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use mainstay_clock::{Clock, IdGenerator, Monotonic, SystemClock, SystemIds};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::LoadArguments,
    client::{Client, Reply},
    demand::{Mix, order},
    error::Failure,
};
use endings::Ending;
use latency::Latency;
use reads::{Accepted, What};
use report::Report;

pub(crate) async fn run(arguments: LoadArguments) -> Result<ExitCode, Failure> {
    let mix = Mix::read(&arguments.mix).ok_or_else(|| {
        Failure::plain(format!(
            "mix {:?}: expected methods and weights, such as pm_ok=90,pm_declined=10",
            arguments.mix
        ))
        .unanswered()
    })?;
    let client = Client::new(&arguments.target)?;
    client.check().await?;
    let clock = SystemClock::new();
    let started = clock.monotonic();
    let (accepted, end) = (Accepted::default(), CancellationToken::new());
    let wanted = [
        (What::Catalog, arguments.reads),
        (What::Orders, arguments.order_reads),
    ];
    let wanted = wanted.into_iter().filter(|(_, rate)| *rate > 0);
    let readers: Vec<_> = wanted
        .map(|(what, rate)| {
            let (client, accepted) = (client.clone(), Arc::clone(&accepted));
            let concurrency = arguments.concurrency;
            reads::spawn(what, rate, concurrency, client, accepted, end.clone())
        })
        .collect();
    let answers = place(&arguments, &mix, &client, started, &accepted).await;
    let took = clock.monotonic() - started;
    end.cancel();

    let mut report = Report::new(&arguments, took);
    for reader in readers {
        let reads = reader.await;
        report.add(reads.map_err(|error| Failure::new("the reads ended", &error))?);
    }
    let mut accepted = Vec::new();
    for answer in answers {
        report.count(&answer);
        accepted.extend(answer.order_id);
    }
    let until = clock.monotonic() + Duration::from_secs(arguments.settle);
    for ending in endings::wait(&client, accepted, until).await {
        report.end(&ending);
    }
    report.print(arguments.json)?;
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The result of one request.
#[derive(Debug)]
struct Answer {
    /// The status or the error.
    outcome: String,
    latency: Duration,
    order_id: Option<String>,
}

async fn place(
    arguments: &LoadArguments,
    mix: &Mix,
    client: &Client,
    started: Monotonic,
    accepted: &Accepted,
) -> Vec<Answer> {
    let ids = SystemIds::new();
    let in_flight = Arc::new(Semaphore::new(arguments.concurrency as usize));
    let answered = Arc::new(AtomicU32::new(0));
    let progress = tokio::spawn(progress(arguments.orders, Arc::clone(&answered)));
    let mut requests = JoinSet::new();
    for number in 0..arguments.orders {
        let due = started + Duration::from_secs_f64(f64::from(number) / f64::from(arguments.rate));
        until(due).await;
        let (client, in_flight) = (client.clone(), Arc::clone(&in_flight));
        let (answered, key) = (Arc::clone(&answered), ids.uuid().to_string());
        let body = order(&ids, mix, 0);
        let accepted = Arc::clone(accepted);
        requests.spawn(async move {
            // The wait for a permit counts as latency: the customer waits, too.
            let permit = in_flight.acquire().await;
            let reply = client.place(key, body).await;
            drop(permit);
            answered.fetch_add(1, Ordering::Relaxed);
            let latency = SystemClock::new().monotonic() - due;
            match reply {
                Ok(Reply { status, order_id }) => {
                    let mut accepted = accepted.lock().unwrap_or_else(PoisonError::into_inner);
                    accepted.extend(order_id.clone());
                    Answer {
                        outcome: status.to_string(),
                        latency,
                        order_id,
                    }
                }
                Err(failure) => Answer {
                    outcome: failure.to_string(),
                    latency,
                    order_id: None,
                },
            }
        });
    }
    let answers = requests.join_all().await;
    progress.abort();
    answers
}

/// Waits until something is due.
async fn until(due: Monotonic) {
    let wait = due.remaining_at(SystemClock::new().monotonic());
    if wait.is_zero() {
        // Even a sleep of no time takes a millisecond, so what is late would never catch up.
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(wait).await;
    }
}

async fn progress(orders: u32, answered: Arc<AtomicU32>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let answered = answered.load(Ordering::Relaxed);
        // Progress is optional: stderr may be closed.
        drop(write!(
            std::io::stderr(),
            "\r{answered} of {orders} answered "
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_late_catches_up() {
        // Between two ticks of the timer.
        tokio::time::advance(Duration::from_micros(500)).await;
        let due = SystemClock::new().monotonic();
        let all = async {
            for _ in 0..1_000 {
                until(due).await;
            }
        };
        let caught_up = tokio::time::timeout(Duration::from_millis(10), all).await;
        assert!(caught_up.is_ok());
    }
}
