//! `commerce dlq`: from any process that reaches the databases of a running or a stopped
//! deployment.

mod acts;
mod bulk;
mod reads;

use std::process::ExitCode;

use commerce_chassis::{Db, Desk, Storage};
use mainstay_dlq::{Query, Signature};

use crate::{
    cli::{
        dead_letters::{DlqArguments, DlqCommand, Filter},
        operator::Signed,
    },
    config::SERVICES,
    error::Failure,
    operator::operator,
};

pub(crate) async fn run(arguments: DlqArguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        DlqCommand::Groups(arguments) => reads::groups(arguments).await,
        DlqCommand::List(arguments) => reads::list(arguments).await,
        DlqCommand::Show(arguments) => reads::show(arguments).await,
        DlqCommand::Audit(arguments) => reads::audit(arguments).await,
        DlqCommand::Jobs(arguments) => reads::jobs(arguments).await,
        DlqCommand::Replay(arguments) => return acts::replay(arguments).await,
        DlqCommand::Discard(arguments) => return acts::discard(arguments).await,
        DlqCommand::Edit(arguments) => acts::edit(arguments).await,
        DlqCommand::Restore(arguments) => acts::restore(arguments).await,
        DlqCommand::Cancel(arguments) => acts::cancel(arguments).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

/// The desk of one service.
pub(crate) async fn desk(storage: &Storage, service: &str) -> Result<Desk, Failure> {
    let cannot_open = |error| {
        Failure::new(
            format!("the dead letter queue of {service} cannot be read"),
            &error,
        )
    };
    let db = Db::open_existing(storage, service).await;
    let desk = db.map_err(cannot_open)?.desk().await;
    desk.map_err(cannot_open)
}

/// The wanted service, or all that were ever started.
pub(crate) async fn services(
    storage: &Storage,
    wanted: Option<&str>,
) -> Result<Vec<&'static str>, Failure> {
    let is_meant = |name: &&str| wanted.is_none_or(|wanted| wanted == *name);
    let meant: Vec<_> = SERVICES.into_iter().filter(is_meant).collect();
    if wanted.is_some() {
        return Ok(meant);
    }
    let mut started = Vec::new();
    for service in &meant {
        if let Some(snapshot) = storage.find_snapshot(service).await? {
            snapshot.close().await?;
            started.push(*service);
        }
    }
    // If there is none, opening the first one says what is wrong.
    Ok(if started.is_empty() { meant } else { started })
}

fn query(filter: &Filter) -> Query {
    let mut query = Query::all();
    query.topic.clone_from(&filter.topic);
    query.key.clone_from(&filter.key);
    query.kind.clone_from(&filter.kind);
    query.message_id.clone_from(&filter.message_id);
    query.fingerprint.clone_from(&filter.fingerprint);
    query.since = filter.since.map(jiff::Timestamp::as_microsecond);
    query.until = filter.until.map(jiff::Timestamp::as_microsecond);
    query
}

fn signature(signed: &Signed) -> Result<Signature, Failure> {
    let (operator, reason) = operator(signed)?;
    Ok(Signature::new(operator, reason))
}

/// An act that the queue refuses, or a database that does not answer.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(crate) fn refused(error: mainstay_dlq::Error) -> Failure {
    Failure::new("the dead letter queue", &error)
}
