//! `commerce verify`: every invariant, on a running or a stopped deployment.
//!
//! The files are read one after the other while the shop may be writing, so what one file says can be newer than what
//! another one does. Two things keep that from being taken for damage: what is still in flight for an order excuses it,
//! and an offender counts only if it is seen in several looks.

mod finding;
mod in_flight;
mod invariants;
mod log;
mod picture;
mod quiet;
mod report;

use std::{process::ExitCode, time::Duration};

use commerce_chassis::Place;

use crate::{
    cli::VerifyArguments,
    config::{self, SERVICES},
    error::{Failure, cannot_check},
    serve::is_running,
};
use finding::Finding;
use picture::Picture;

/// How often a running deployment is looked at before an offender counts.
const LOOKS: u32 = 4;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(700);

pub(crate) async fn run(arguments: VerifyArguments) -> Result<ExitCode, Failure> {
    let place = config::place(arguments.storage).map_err(Failure::unanswered)?;
    // Whatever keeps it from looking is no broken invariant.
    let verdict = verify(&place, Duration::from_secs(arguments.settle))
        .await
        .map_err(Failure::unanswered)?;
    report::print(&verdict, arguments.json)?;
    Ok(if verdict.findings.iter().all(Finding::holds) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) findings: Vec<Finding>,
    /// Whether a process served the directory.
    pub(crate) running: bool,
    /// Orders that something was in flight for.
    pub(crate) in_flight: usize,
}

async fn verify(place: &Place, settle: Duration) -> Result<Verdict, Failure> {
    // A log that is not theirs would explain nothing about what the services did.
    commerce_chassis::examine(place, &SERVICES)
        .await
        .map_err(cannot_check)?;
    quiet::wait(place, settle).await?;
    let mut verdict = look(place).await?;
    for _ in 1..LOOKS {
        if !verdict.running || verdict.findings.iter().all(Finding::holds) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        let again = look(place).await?;
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

async fn look(place: &Place) -> Result<Verdict, Failure> {
    let picture = Picture::take(place, is_running(place.data())).await?;
    let in_flight = in_flight::orders(&picture);
    Ok(Verdict {
        findings: invariants::check(&picture, &in_flight),
        running: picture.running,
        in_flight: in_flight.len(),
    })
}
