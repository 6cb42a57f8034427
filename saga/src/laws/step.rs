//! What holds of the messages of a step.

use mainstay_messaging::{Event, Message};

use super::Violation;
use crate::{Answer, Command, Compensable, Document, Outcome};

/// Attempts after which a retry is taken as endless.
const ENDLESS: u32 = 10_000;

/// Checks one command, its result and its refusal:
///
/// - they are the same after their way through JSON;
/// - the result is read as done, the refusal as refused;
/// - retries end.
///
/// Give no refusal if it is [`Never`](crate::Never).
///
/// # Errors
/// The first law that does not hold.
pub fn command<C: Command>(
    command: &C,
    done: &C::Done,
    refused: Option<&C::Refused>,
) -> Result<(), Violation> {
    survives::<C, C>(command)?;
    survives::<C, _>(done)?;
    let found = match C::answer(&message::<C, _>(done)?) {
        Ok(Answer::Done(_)) => None,
        Ok(Answer::Refused(_)) => Some("it is read as refused".to_owned()),
        Ok(Answer::Neither) => Some("it is read as no reply".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    holds::<C>("its result is read as done", found)?;
    let Some(refused) = refused else {
        return Ok(());
    };
    survives::<C, _>(refused)?;
    let found = match C::answer(&message::<C, _>(refused)?) {
        Ok(Answer::Refused(_)) => None,
        Ok(Answer::Done(_)) => Some("it is read as done".to_owned()),
        Ok(Answer::Neither) => Some("it is read as no reply".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    holds::<C>("its refusal is read as refused", found)?;
    let ends = (1..=ENDLESS).any(|attempt| C::retry(refused, attempt).is_none());
    let found = (!ends).then(|| format!("attempt {ENDLESS} is still retried"));
    holds::<C>("its retries end", found)
}

/// Checks a command that can be undone: as [`command`], and
///
/// - its undo can be made, whether its outcome is known or not, and is the same each time;
/// - its undo has no other key;
/// - the answer to the undo is read as undone.
///
/// # Errors
/// The first law that does not hold.
pub fn compensable<C: Compensable>(
    command: &C,
    done: &C::Done,
    refused: Option<&C::Refused>,
    undone: &C::Undone,
) -> Result<(), Violation> {
    self::command(command, done, refused)?;
    for outcome in [Outcome::Known(done), Outcome::Unknown] {
        let undo = command.undo(outcome);
        survives::<C, _>(&undo)?;
        let again = json::<C, _>(&command.undo(outcome))?;
        let found = (json::<C, _>(&undo)? != again).then(|| format!("it once is {again}"));
        holds::<C>("its undo is the same each time", found)?;
        let key = undo.key().filter(|key| Some(key) != command.key().as_ref());
        let found = key.map(|key| format!("its undo has the key {key:?}"));
        holds::<C>("its undo goes to the key of the command", found)?;
    }
    survives::<C, _>(undone)?;
    let found = match C::undone(&message::<C, _>(undone)?) {
        Ok(Some(_)) => None,
        Ok(None) => Some("it is read as no reply".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    holds::<C>("the answer to its undo is read as undone", found)
}

pub(super) fn holds<C: Command>(law: &'static str, found: Option<String>) -> Result<(), Violation> {
    let step = C::KIND;
    found.map_or(Ok(()), |found| Err(Violation { step, law, found }))
}

fn survives<C: Command, E: Event>(event: &E) -> Result<(), Violation> {
    let law = "its messages are the same after their way through JSON";
    let failed = |error: String| holds::<C>(law, Some(format!("{}: {error}", E::KIND)));
    let written = json::<C, E>(event)?;
    let document = Document::new(E::KIND, E::VERSION, &written);
    let read = document.map(|document| document.read::<E>());
    match read {
        Ok(Ok(read)) if json::<C, E>(&read)? == written => Ok(()),
        Ok(Ok(read)) => failed(format!("{written} becomes {}", json::<C, E>(&read)?)),
        Ok(Err(error)) => failed(error.to_string()),
        Err(error) => failed(error.to_string()),
    }
}

fn json<C: Command, E: Event>(event: &E) -> Result<String, Violation> {
    serde_json::to_string(event).map_err(|error| Violation {
        step: C::KIND,
        law: "its messages can be written as JSON",
        found: format!("{}: {error}", E::KIND),
    })
}

pub(super) fn message<C: Command, E: Event>(event: &E) -> Result<Message, Violation> {
    let message = Message::builder().source("/laws").event(event);
    message.build().map_err(|error| Violation {
        step: C::KIND,
        law: "its messages have valid topics, keys and kinds",
        found: format!("{}: {error}", E::KIND),
    })
}
