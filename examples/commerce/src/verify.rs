//! `commerce verify`: every invariant, on a running or a stopped deployment.
//!
//! The databases are read one after the other while the shop may be writing, so one of them can be
//! newer than another. Two rules keep that from being reported as damage: an order with messages in
//! flight is excused, and an offender counts only if several observations find it.

mod card_data;
mod dead_letters;
mod finding;
mod in_flight;
mod invariants;
mod log;
mod observation;
mod quiet;
mod report;

use std::{process::ExitCode, time::Duration};

use commerce_chassis::Storage;

use crate::{
    cli::VerifyArguments,
    config::SERVICES,
    error::{Failure, cannot_check},
    operator::storage,
    serve::is_running,
};
use dead_letters::Waiting;
use finding::Finding;
use observation::Observation;

/// How many observations of a running deployment must find an offender.
const OBSERVATIONS: u32 = 4;
/// Pause between two observations.
const PAUSE: Duration = Duration::from_millis(700);

pub(crate) async fn run(arguments: VerifyArguments) -> Result<ExitCode, Failure> {
    let storage = storage(arguments.storage)?;
    // A failure to read is not a broken invariant.
    let settle = Duration::from_secs(arguments.settle);
    let verdict = verify(&storage, settle, &report::progress)
        .await
        .map_err(Failure::unanswered)?;
    report::print(&verdict, arguments.json)?;
    Ok(if verdict.findings.iter().all(Finding::holds) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The results of all invariants.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) findings: Vec<Finding>,
    /// Whether a process serves the directory.
    pub(crate) running: bool,
    /// The number of orders with something in flight.
    pub(crate) in_flight: usize,
    /// The number of messages that wait in dead letter queues.
    pub(crate) dead_letters: Waiting,
    /// Services that were never started.
    pub(crate) absent: Vec<&'static str>,
}

/// Checks all invariants once nothing is in progress, at most after `settle`. `progress` hears of the
/// wait.
pub(crate) async fn verify(
    storage: &Storage,
    settle: Duration,
    progress: &(impl Fn(&str) + Sync + ?Sized),
) -> Result<Verdict, Failure> {
    // With the wrong log, every invariant over messages would be broken.
    commerce_chassis::check_log(storage, &SERVICES)
        .await
        .map_err(cannot_check)?;
    quiet::wait(storage, settle, progress).await?;
    let mut verdict = observe(storage).await?;
    for _ in 1..OBSERVATIONS {
        if !verdict.running || verdict.findings.iter().all(Finding::holds) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        let again = observe(storage).await?;
        let findings = verdict.findings.into_iter().zip(again.findings);
        verdict = Verdict {
            findings: findings
                .map(|(earlier, later)| later.confirmed_by(&earlier))
                .collect(),
            ..again
        };
    }
    Ok(verdict)
}

async fn observe(storage: &Storage) -> Result<Verdict, Failure> {
    let observation = Observation::take(storage, is_running(storage.data())).await?;
    let in_flight = in_flight::orders(&observation);
    Ok(Verdict {
        findings: invariants::check(&observation, &in_flight),
        running: observation.running,
        in_flight: in_flight.len(),
        dead_letters: dead_letters::waiting(&observation),
        absent: observation.absent.iter().copied().collect(),
    })
}
