//! `commerce saga`: the runs of `PlaceOrder`, from any process that reaches the order service's
//! database.

use std::process::ExitCode;

use commerce_order::Desk;
use mainstay_saga::{Cancellation, Query, RunId, Signature, Status, operator::RunSummary};
use serde_json::json;

use crate::{
    cli::{
        StorageArguments,
        operator::{Signed, Target},
        sagas::{
            ListArguments, OneArguments, SagaArguments, SagaCommand, ShowArguments, SkipArguments,
        },
    },
    error::Failure,
    operator::{operator, storage},
    output::{self, time},
};

pub(crate) async fn run(arguments: SagaArguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        SagaCommand::List(arguments) => list(arguments).await,
        SagaCommand::Show(arguments) => show(arguments).await,
        SagaCommand::Retry(arguments) => retry(arguments).await,
        SagaCommand::Skip(arguments) => skip(arguments).await,
        SagaCommand::Cancel(arguments) => return cancel(arguments).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

async fn list(arguments: ListArguments) -> Result<(), Failure> {
    let mut query = Query::all();
    query.status = arguments.status.as_deref().and_then(Status::named);
    query.is_overdue = arguments.overdue.then_some(true);
    query.key = arguments.key;
    query.step = arguments.step;
    let before = arguments.before.map(RunId::new);
    let Target { storage, json } = arguments.target;
    let desk = desk(storage).await?;
    let page = desk.list(&query, before.as_ref(), arguments.limit).await;
    let runs = page.map_err(refused)?.items;
    if json {
        return output::json(&runs);
    }
    let headings = ["RUN", "ORDER", "STATUS", "STEP", "SINCE", "CHANGED", "DUE"];
    output::table(headings, runs.iter().map(row), "no run matches")
}

fn row(run: &RunSummary) -> [String; 7] {
    let overdue = if run.is_overdue { ", overdue" } else { "" };
    [
        run.run.to_string(),
        run.key.clone(),
        format!("{}{overdue}", run.status),
        run.step.clone().unwrap_or_default(),
        time(run.started_at),
        time(run.saved_at),
        run.wake_at.map(time).unwrap_or_default(),
    ]
}

async fn show(arguments: ShowArguments) -> Result<(), Failure> {
    let Target { storage, json } = arguments.target;
    let desk = desk(storage).await?;
    let run = find(&desk, arguments.run).await?;
    let timeline = desk.timeline(&run).await.map_err(refused)?;
    if json {
        return output::json(&timeline);
    }
    output::print(timeline.to_string().trim_end())?;
    waiting(&timeline.run).map_or(Ok(()), |line| output::print(&line))
}

/// What a run that has not ended waits for, and until when.
fn waiting(run: &RunSummary) -> Option<String> {
    let step = run.step.as_ref()?;
    let due = run.wake_at.map(time);
    let due = due.map_or_else(String::new, |due| format!(", due {due}"));
    Some(format!("waits at {step}{due}"))
}

async fn retry(arguments: OneArguments) -> Result<(), Failure> {
    let act = Act::open(arguments).await?;
    let retried = act.desk.retry(&act.run, &act.by).await;
    retried.map_err(refused)?;
    act.done("retry", "goes on: what is in flight is sent again")
}

async fn skip(arguments: SkipArguments) -> Result<(), Failure> {
    let SkipArguments { one, step, result } = arguments;
    let act = Act::open(one).await?;
    let skipped = act.desk.skip(&act.run, &step, &result, &act.by).await;
    skipped.map_err(|error| refused_result(&step, error))?;
    act.done("skip", &format!("goes on behind {step}"))
}

/// Exits with 1 if the run is not undone.
async fn cancel(arguments: OneArguments) -> Result<ExitCode, Failure> {
    let act = Act::open(arguments).await?;
    let cancelled = act.desk.cancel(&act.run, &act.by).await;
    let (then, exit) = match cancelled.map_err(refused)? {
        Cancellation::Accepted => ("is undone from here on".to_owned(), ExitCode::SUCCESS),
        Cancellation::Undoing => ("was being undone before".to_owned(), ExitCode::SUCCESS),
        Cancellation::Undecided => {
            let then =
                "is undone if its payment is refused: the capture was sent, and not answered";
            (then.to_owned(), ExitCode::FAILURE)
        }
        Cancellation::TooLate => {
            let then = "is not undone: its payment is captured, and it completes";
            (then.to_owned(), ExitCode::FAILURE)
        }
        Cancellation::Not(Status::Undone) => ("was undone before".to_owned(), ExitCode::SUCCESS),
        Cancellation::Not(status) => (format!("stays as it is: {status}"), ExitCode::FAILURE),
    };
    act.done("cancel", &then)?;
    Ok(exit)
}

/// An act on one run.
struct Act {
    desk: Desk,
    run: RunId,
    by: Signature,
    json: bool,
}

impl Act {
    async fn open(arguments: OneArguments) -> Result<Self, Failure> {
        let OneArguments {
            target,
            run,
            signed,
        } = arguments;
        let by = signature(&signed)?;
        let desk = desk(target.storage).await?;
        let run = find(&desk, run).await?;
        let json = target.json;
        Ok(Self {
            desk,
            run,
            by,
            json,
        })
    }

    /// Prints what the act came to.
    fn done(&self, act: &str, then: &str) -> Result<(), Failure> {
        if self.json {
            return output::json(&json!({"run": self.run, "act": act, "outcome": then}));
        }
        output::print(&format!("{} {then}", self.run))
    }
}

fn signature(signed: &Signed) -> Result<Signature, Failure> {
    let (operator, reason) = operator(signed)?;
    Ok(Signature::new(operator, reason))
}

async fn desk(at: StorageArguments) -> Result<Desk, Failure> {
    let opened = commerce_order::desk(&storage(at)?).await;
    opened.map_err(|error| Failure::new("the sagas of order cannot be read", &error))
}

/// The newest run of an order with this id, or else the run with this id.
async fn find(desk: &Desk, id: String) -> Result<RunId, Failure> {
    let of_order = Query::all().key(&id);
    let page = desk.list(&of_order, None, 1).await.map_err(refused)?;
    let newest = page.items.into_iter().next();
    Ok(newest.map_or_else(|| RunId::new(id), |run| run.run))
}

/// A result that is not the answer of its step, or any other refusal.
fn refused_result(step: &str, error: mainstay_saga::Error) -> Failure {
    match error {
        mainstay_saga::Error::Decode(error) => Failure::new(
            format!(
                "--result has to be the answer to {step}, as `show` prints it for a completed run"
            ),
            &error,
        ),
        error => refused(error),
    }
}

/// An act that the saga refuses, or a database that does not answer.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn refused(error: mainstay_saga::Error) -> Failure {
    Failure::new("the saga", &error)
}
