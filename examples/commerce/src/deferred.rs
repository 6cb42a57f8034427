//! `commerce outbox`: messages that the broker refused, and those that wait behind them.

use std::{process::ExitCode, sync::Arc};

use commerce_chassis::{Db, Storage};
use mainstay_outbox::operator::{Act, Deferred, Operator, Signature, Which};
use serde_json::{Value, json};

use crate::{
    cli::{
        dead_letters::{Listing, OneArguments},
        deferred::{DeferredArguments, OutboxArguments, OutboxCommand},
    },
    dlq::services,
    error::Failure,
    operator::{operator, storage},
    output::{self, done, short, time},
};

pub(crate) async fn run(arguments: OutboxArguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        OutboxCommand::List(arguments) => list(arguments).await,
        OutboxCommand::Retry(arguments) => retry(arguments).await,
        OutboxCommand::Discard(arguments) => discard(arguments).await,
        OutboxCommand::Audit(arguments) => audit(arguments).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

async fn outbox(storage: &Storage, service: &str) -> Result<Arc<dyn Operator>, Failure> {
    let cannot_open =
        |error| Failure::new(format!("the outbox of {service} cannot be read"), &error);
    let db = Db::open_existing(storage, service).await;
    let outbox = db.map_err(cannot_open)?.deferred().await;
    outbox.map_err(cannot_open)
}

async fn list(arguments: DeferredArguments) -> Result<(), Failure> {
    let DeferredArguments {
        listing,
        all,
        after,
    } = arguments;
    let storage = storage(listing.target.storage)?;
    let which = if all { Which::All } else { Which::Heads };
    let mut found: Vec<(&'static str, Deferred)> = Vec::new();
    for service in services(&storage, listing.service.as_deref()).await? {
        let outbox = outbox(&storage, service).await?;
        let rows = outbox.deferred(&which, after, listing.limit).await;
        let rows = rows.map_err(refused)?.into_iter();
        found.extend(rows.map(|row| (service, row)));
    }
    if listing.target.json {
        return output::json(&found.iter().map(row_as_json).collect::<Vec<_>>());
    }
    let rows = found.iter().map(|(service, row)| {
        [
            format!("{service}/{}", row.position),
            state(row).to_owned(),
            row.kind.clone().unwrap_or_else(|| "unreadable".to_owned()),
            short(row.key.as_deref().unwrap_or_default(), 40),
            row.size.to_string(),
            row.held.to_string(),
            row.attempts.to_string(),
            time(row.due_at),
            short(row.refusal.as_deref().unwrap_or_default(), 80),
        ]
    });
    let headings = [
        "MESSAGE", "STATE", "KIND", "KEY", "BYTES", "HELD", "REFUSED", "DUE", "REFUSAL",
    ];
    output::table(headings, rows, "no message is deferred")
}

const fn state(row: &Deferred) -> &'static str {
    match (row.blocked, row.head) {
        (_, true) => "refused",
        (true, false) => "held",
        (false, false) => "delayed",
    }
}

fn row_as_json((service, row): &(&'static str, Deferred)) -> Value {
    json!({
        "service": service,
        "position": row.position,
        "state": state(row),
        "topic": row.topic,
        "key": row.key,
        "message_id": row.message_id,
        "kind": row.kind,
        "bytes": row.size,
        "held": row.held,
        "attempts": row.attempts,
        "due_at": time(row.due_at),
        "refusal": row.refusal,
    })
}

async fn retry(arguments: OneArguments) -> Result<(), Failure> {
    let (outbox, by) = opened(&arguments).await?;
    let message = arguments.object;
    let retried = outbox.retry_now(message.number, &by).await;
    retried.map_err(refused)?;
    let then = "is tried at the relay's next look";
    done(message, "retry", then, arguments.target.json)
}

async fn discard(arguments: OneArguments) -> Result<(), Failure> {
    let (outbox, by) = opened(&arguments).await?;
    let message = arguments.object;
    let discarded = outbox.discard(message.number, &by).await;
    discarded.map_err(refused)?;
    let then = "is discarded; what was held behind it goes on";
    done(message, "discard", then, arguments.target.json)
}

/// The outbox of the service that is meant, and who acts there.
async fn opened(arguments: &OneArguments) -> Result<(Arc<dyn Operator>, Signature), Failure> {
    let (operator, reason) = operator(&arguments.signed)?;
    let storage = storage(arguments.target.storage.clone())?;
    let outbox = outbox(&storage, arguments.object.service).await?;
    Ok((outbox, Signature::new(operator, reason)))
}

async fn audit(arguments: Listing) -> Result<(), Failure> {
    let storage = storage(arguments.target.storage)?;
    let mut acts: Vec<(&'static str, Act)> = Vec::new();
    for service in services(&storage, arguments.service.as_deref()).await? {
        let outbox = outbox(&storage, service).await?;
        let found = outbox.acts(None, arguments.limit).await.map_err(refused)?;
        acts.extend(found.into_iter().map(|act| (service, act)));
    }
    acts.sort_by_key(|(_, act)| std::cmp::Reverse(act.at));
    if arguments.target.json {
        let acts = acts.iter().map(|(service, act)| {
            json!({
                "service": service,
                "id": act.id,
                "at": time(act.at),
                "operator": act.operator,
                "act": act.act,
                "topic": act.topic,
                "key": act.key,
                "message_id": act.message_id,
                "reason": act.reason,
                "refusal": act.refusal,
            })
        });
        return output::json(&acts.collect::<Vec<_>>());
    }
    let rows = acts.iter().map(|(service, act)| {
        [
            time(act.at),
            act.operator.clone(),
            act.act.clone(),
            (*service).to_owned(),
            act.message_id.clone().unwrap_or_default(),
            short(&act.reason, 60),
            short(act.refusal.as_deref().unwrap_or_default(), 60),
        ]
    });
    let headings = [
        "TIME",
        "OPERATOR",
        "ACT",
        "SERVICE",
        "MESSAGE ID",
        "REASON",
        "REFUSAL",
    ];
    output::table(headings, rows, "no operator has done anything")
}

/// An act that the outbox refuses, or a database that does not answer.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn refused(error: mainstay_outbox::Error) -> Failure {
    Failure::new("the outbox", &error)
}
