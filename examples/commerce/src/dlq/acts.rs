//! What operators do.

use std::{io::Read as _, path::Path, process::ExitCode, time::Duration};

use commerce_chassis::Desk;
use mainstay_dlq::{DeadLetterId, Signature, State, messaging::Key};
use mainstay_messaging::{Message, broker::Content, envelope};

use super::{bulk, desk, refused, signature};
use crate::{
    cli::{
        dead_letters::{
            CancelArguments, EditArguments, ManyArguments, OneArguments, ReplayArguments,
        },
        operator::Target,
    },
    error::Failure,
    operator::storage,
    output::done,
    serve::is_running,
};

/// Interval between two looks at the outcome of a replay.
pub(super) const LOOK: Duration = Duration::from_millis(100);

pub(super) async fn replay(arguments: ReplayArguments) -> Result<ExitCode, Failure> {
    let ReplayArguments { many, wait } = arguments;
    let by = signature(&many.signed)?;
    let Some(message) = many.which.message else {
        return bulk::replay(many, wait, &by).await;
    };
    let Target { storage: at, json } = many.target;
    let storage = storage(at)?;
    let desk = desk(&storage, message.service).await?;
    let id = message.letter();
    desk.replay(id, &by).await.map_err(refused)?;
    let runs = is_running(storage.data());
    if !wait || !runs {
        let then = if runs {
            "is replayed now"
        } else {
            "is replayed once its service runs: no process serves this deployment"
        };
        done(message, "replay", then, json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = outcome(&desk, id).await?;
    let what = match &outcome {
        None => "was replayed".to_owned(),
        Some(error) => format!("failed again: {error}"),
    };
    done(message, "replay", &what, json)?;
    Ok(if outcome.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Waits until a message that was asked for is replayed, or has failed again: why.
pub(crate) async fn outcome(desk: &Desk, id: DeadLetterId) -> Result<Option<String>, Failure> {
    loop {
        let letter = desk.show(id).await.map_err(refused)?.letter;
        match letter.state {
            State::Dead if letter.due_at.is_some() => tokio::time::sleep(LOOK).await,
            State::Dead | State::Held => return Ok(Some(letter.error.unwrap_or_default())),
            State::Replayed | State::Discarded => return Ok(None),
        }
    }
}

pub(super) async fn discard(arguments: ManyArguments) -> Result<ExitCode, Failure> {
    let by = signature(&arguments.signed)?;
    let Some(message) = arguments.which.message else {
        return bulk::discard(arguments, &by).await;
    };
    let storage = storage(arguments.target.storage)?;
    let desk = desk(&storage, message.service).await?;
    desk.discard(message.letter(), &by).await.map_err(refused)?;
    let then = "is discarded; restore brings it back, what was held behind it goes on";
    done(message, "discard", then, arguments.target.json)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn restore(arguments: OneArguments) -> Result<(), Failure> {
    let (desk, by) = opened(&arguments).await?;
    let message = arguments.object;
    let restored = desk.restore(message.letter(), &by).await;
    restored.map_err(refused)?;
    let then = "is a dead letter again";
    done(message, "restore", then, arguments.target.json)
}

pub(super) async fn cancel(arguments: CancelArguments) -> Result<(), Failure> {
    let by = signature(&arguments.signed)?;
    let job = arguments.job;
    let desk = desk(&storage(arguments.target.storage)?, job.service).await?;
    desk.cancel_job(job.number, &by).await.map_err(refused)?;
    done(job, "cancel", "is ended", arguments.target.json)
}

/// The desk of the service that is meant, and who acts there.
async fn opened(arguments: &OneArguments) -> Result<(Desk, Signature), Failure> {
    let by = signature(&arguments.signed)?;
    let storage = storage(arguments.target.storage.clone())?;
    Ok((desk(&storage, arguments.object.service).await?, by))
}

pub(super) async fn edit(arguments: EditArguments) -> Result<(), Failure> {
    let (desk, by) = opened(&arguments.one).await?;
    let OneArguments { object, target, .. } = arguments.one;
    let id = object.letter();
    let details = desk.show(id).await.map_err(refused)?;
    let payload = read(&arguments.payload)?;
    let message = match (details.content, &arguments.envelope) {
        (Content::Message(mut message), None) => {
            message.payload = Some(payload.into());
            message
        }
        (Content::Raw(_), None) => {
            let line = format!("{object} is not a message: give its --envelope, too");
            return Err(Failure::plain(line).unanswered());
        }
        (_, Some(file)) => {
            let text = String::from_utf8(read(file)?)
                .map_err(|error| Failure::new("the envelope is not a text", &error))?;
            let key = details.letter.key.map(Key::new).transpose();
            let key = key.map_err(|error| Failure::new("the key of the record", &error))?;
            let topic = details.letter.position.partition.topic;
            let read = envelope::read(text.trim(), topic, key, Some(payload.into()));
            let message: Message =
                read.map_err(|error| Failure::new("the envelope cannot be read", &error))?;
            message
        }
    };
    let base = arguments.revision.unwrap_or(details.letter.revision);
    let revision = desk.edit(id, base, message, &by).await.map_err(refused)?;
    let then = format!("has revision {revision}; replay tries it");
    done(object, "edit", &then, target.json)
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::new(format!("{} cannot be read", file.display()), &error))?;
    Ok(bytes)
}
