//! Replies: each run of a batch is locked once, and takes its replies in order.

use mainstay_inbox::{HandlerError, Received};
use mainstay_messaging::{Cause, Message};
use mainstay_outbox::Outbox;
use serde::{Serialize, de::DeserializeOwned};

use super::{Orchestrator, turn::Running};
use crate::{CommandId, Error, engine::Input, raw_reply::RawReply, store::SagaStore};

/// A reply with its place in the batch and the command that it answers.
struct Addressed<'m> {
    place: usize,
    message: &'m Message,
    command: CommandId,
}

impl<I, S, O> Orchestrator<I, S, O>
where
    I: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: SagaStore,
    O: Outbox<Connection = S::Connection>,
{
    /// As [`take`](Self::take); an error comes with the place of the reply whose run it concerns.
    pub(super) async fn take_batch(
        &self,
        connection: &mut S::Connection,
        replies: &[&Message],
    ) -> Result<(), (Option<usize>, Error)> {
        let addressed: Vec<Addressed<'_>> = (replies.iter().enumerate())
            .filter_map(|(place, message)| {
                let command = message.causation_id.as_deref()?.parse().ok()?;
                Some(Addressed {
                    place,
                    message,
                    command,
                })
            })
            .collect();
        let mut runs: Vec<_> = (addressed.iter())
            .map(|reply| reply.command.run.clone())
            .collect();
        runs.sort_unstable();
        runs.dedup();
        if runs.is_empty() {
            return Ok(());
        }
        let general = |error| (None, error);
        let stored = self.store().lock(connection, self.name(), &runs).await;
        let mut changed = Vec::new();
        for stored in stored.map_err(general)? {
            let mine = addressed
                .iter()
                .filter(|reply| reply.command.run == stored.run);
            let mine: Vec<&Addressed<'_>> = mine.collect();
            let at = |error| (mine.first().map(|reply| reply.place), error);
            let mut running = self.resume(stored).map_err(at)?;
            for reply in &mine {
                let taken = self.take_one(connection, &mut running, &reply.command, reply.message);
                taken.await.map_err(|error| (Some(reply.place), error))?;
            }
            changed.push(running);
        }
        self.finish(connection, changed).await.map_err(general)
    }

    /// Reads one reply, if the run waits for it. A reply that cannot be read breaks the run.
    pub(crate) async fn take_one(
        &self,
        connection: &mut S::Connection,
        running: &mut Running<'_, I>,
        command: &CommandId,
        message: &Message,
    ) -> Result<(), Error> {
        let attempt = command.attempt;
        let Some(step) = running.definition.shape().find(&command.step) else {
            return Ok(());
        };
        if !running.state.expects(step, attempt) {
            return Ok(());
        }
        if let Some(broken) = &mut running.state.broken {
            let raw = RawReply::of(message);
            if !broken.replies.contains(&raw) {
                broken.replies.push(raw);
                let why = broken.why.clone();
                running.note(crate::journal::Entry::Broken { why });
            }
            return Ok(());
        }
        let definition = running.definition;
        match Running::<I>::guard(|| definition.read(step, attempt, message)) {
            Ok(Some(reply)) => {
                running.cause = Cause::of(message);
                let input = Input::Reply {
                    step,
                    attempt,
                    reply,
                };
                self.give(connection, running, input).await
            }
            Ok(None) => Ok(()),
            Err(error) => {
                running.break_down(&error, Some(message));
                Ok(())
            }
        }
    }
}

/// The handler of all reply kinds.
pub(super) async fn on_replies<I, S, O>(
    connection: &mut S::Connection,
    received: Vec<Received<()>>,
    orchestrator: Orchestrator<I, S, O>,
) -> Result<(), HandlerError>
where
    I: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: SagaStore,
    O: Outbox<Connection = S::Connection>,
{
    let messages: Vec<&Message> = received.iter().map(|received| &received.message).collect();
    let taken = orchestrator.take_batch(connection, &messages).await;
    taken.map_err(|(place, error)| {
        let failure = match error {
            Error::Handler { failure, .. } => failure,
            error => HandlerError::retryable(error),
        };
        match place {
            Some(place) => failure.at(place),
            None => failure,
        }
    })
}
