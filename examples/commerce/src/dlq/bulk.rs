//! Acts on many messages: one job for each service that has any.

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
};

use commerce_chassis::{Desk, Storage};
use mainstay_dlq::{
    Query, Signature, State,
    desk::{BulkAct, Job, JobState},
};

use super::{acts::LOOK, desk, query, reads::Of, refused, services};
use crate::{
    cli::dead_letters::{ManyArguments, Which},
    error::Failure,
    operator::{confirm, storage},
    output,
    serve::is_running,
};

pub(super) async fn replay(
    arguments: ManyArguments,
    waits: bool,
    by: &Signature,
) -> Result<ExitCode, Failure> {
    let storage = storage(arguments.target.storage)?;
    let started = start(&storage, BulkAct::Replay, &arguments.which, by).await?;
    let (jobs, failed) = if waits && is_running(storage.data()) {
        wait(&started).await?
    } else {
        (look(&started).await?, 0)
    };
    show(&storage, &jobs, arguments.target.json)?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

pub(super) async fn discard(arguments: ManyArguments, by: &Signature) -> Result<ExitCode, Failure> {
    let storage = storage(arguments.target.storage)?;
    let started = start(&storage, BulkAct::Discard, &arguments.which, by).await?;
    let jobs = look(&started).await?;
    show(&storage, &jobs, arguments.target.json)?;
    Ok(ExitCode::SUCCESS)
}

/// A job with the desk of its service.
struct Started {
    service: &'static str,
    desk: Desk,
    job: i64,
}

async fn start(
    storage: &Storage,
    act: BulkAct,
    which: &Which,
    by: &Signature,
) -> Result<Vec<Started>, Failure> {
    let matching = query(&which.filter);
    let mut found = Vec::new();
    for service in services(storage, which.filter.service.as_deref()).await? {
        let desk = desk(storage, service).await?;
        let count = count(&desk, act, &matching).await?;
        if count > 0 {
            found.push((service, desk, count));
        }
    }
    if !found.is_empty() && !which.yes {
        confirm(&question(act, &found))?;
    }
    let mut started = Vec::new();
    for (service, desk, _) in found {
        let (query, rate) = (matching.clone(), which.rate);
        let job = match act {
            BulkAct::Replay => desk.replay_all(query, rate, by).await,
            BulkAct::Discard => desk.discard_all(query, rate, by).await,
        };
        let job = job.map_err(refused)?;
        started.push(Started { service, desk, job });
    }
    Ok(started)
}

async fn count(desk: &Desk, act: BulkAct, query: &Query) -> Result<u64, Failure> {
    let of = async |state| {
        let query = query.clone().state(state);
        desk.count(&query).await.map_err(refused)
    };
    let held = match act {
        BulkAct::Replay => 0,
        BulkAct::Discard => of(State::Held).await?,
    };
    Ok(of(State::Dead).await? + held)
}

fn question(act: BulkAct, found: &[(&'static str, Desk, u64)]) -> String {
    let counts: Vec<_> = found
        .iter()
        .map(|(service, _, count)| format!("{count} of {service}"))
        .collect();
    format!("{act:?} {}", counts.join(", "))
}

async fn look(started: &[Started]) -> Result<Vec<Of<Job>>, Failure> {
    let mut jobs = Vec::new();
    for Started { service, desk, job } in started {
        let item = desk.job(*job).await.map_err(refused)?;
        jobs.push(Of { service, item });
    }
    Ok(jobs)
}

/// Waits until the jobs have come to all of their messages, and these have been tried. Answers how
/// many failed again.
async fn wait(started: &[Started]) -> Result<(Vec<Of<Job>>, u64), Failure> {
    let mut shown = String::new();
    loop {
        let jobs = look(started).await?;
        let sum = |count: fn(&Job) -> u64| jobs.iter().map(|job| count(&job.item)).sum::<u64>();
        let (replayed, failed) = (sum(|job| job.replayed), sum(|job| job.failed));
        let waiting = sum(|job| job.waiting);
        let line = format!("{replayed} replayed, {failed} failed, {waiting} waiting");
        if line != shown && std::io::stderr().is_terminal() {
            // Progress is optional: stderr may be closed.
            drop(write!(std::io::stderr(), "\r{line} "));
            shown = line;
        }
        let is_over = |job: &Of<Job>| job.item.state != JobState::Running && job.item.waiting == 0;
        if jobs.iter().all(is_over) {
            return Ok((jobs, failed));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn show(storage: &Storage, jobs: &[Of<Job>], json: bool) -> Result<(), Failure> {
    if json {
        return output::json(&jobs);
    }
    if jobs.is_empty() {
        return output::print("no message matches");
    }
    for Of { service, item } in jobs {
        if item.state == JobState::Running {
            let id = item.id;
            output::print(&format!(
                "job {service}/{id} has begun; `dlq jobs` shows how far it is"
            ))?;
            continue;
        }
        output::print(&format!(
            "job {service}/{}: {} asked for, {} replayed, {} failed, {} waiting; `dlq jobs` shows it",
            item.id, item.done, item.replayed, item.failed, item.waiting
        ))?;
    }
    if is_running(storage.data()) {
        return Ok(());
    }
    output::print("no process serves this deployment: the jobs run once one does")
}
