//! The task that owns the consumer: it keeps polling while handlers run.

use std::{sync::Arc, time::Duration};

use mainstay_clock::{Backoff, IdGenerator};
use mainstay_messaging::{Consumer, Error, Flow, Incoming, Partition, Position};
use tokio::sync::mpsc;

/// What the engine asks for.
#[derive(Debug)]
pub(super) enum Command {
    Commit(Vec<Position>),
    Flow(Vec<Partition>, Flow),
    /// Commit these positions, trying for so long, then give these partitions back.
    Release {
        positions: Vec<Position>,
        partitions: Vec<Partition>,
        within: Duration,
    },
}

/// What the engine is told.
#[derive(Debug)]
pub(super) enum Event {
    Incoming(Incoming),
    Committed(Vec<Position>),
    NotCommitted(Error),
    /// These were given back. What was told of them before is over.
    Released(Vec<Partition>),
    /// The broker does not answer; it is asked again after a while.
    Impeded(Error),
    /// The broker answers nothing more to this member.
    Ended(Error),
}

/// Polls until the engine has dropped its end of the commands, and all of them are carried out.
pub(super) struct Pump<C> {
    pub(super) consumer: C,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) backoff: Backoff,
    pub(super) ids: Arc<dyn IdGenerator>,
}

enum Step {
    Command(Option<Command>),
    Incoming(Result<Incoming, Error>),
    Rested,
}

impl<C: Consumer> Pump<C> {
    pub(super) async fn run(mut self) {
        let (mut ended, mut failures, mut rest) = (false, 0, Duration::ZERO);
        loop {
            // `next` is dropped only for a command, and commands are few: polling always gets its turn.
            let step = tokio::select! {
                biased;
                command = self.commands.recv() => Step::Command(command),
                () = tokio::time::sleep(rest), if !rest.is_zero() => Step::Rested,
                incoming = self.consumer.next(), if rest.is_zero() && !ended => Step::Incoming(incoming),
            };
            match step {
                Step::Rested => rest = Duration::ZERO,
                Step::Command(None) => return,
                Step::Command(Some(command)) => self.obey(command).await,
                Step::Incoming(Ok(incoming)) => {
                    failures = 0;
                    self.tell(Event::Incoming(incoming)).await;
                }
                Step::Incoming(Err(error)) if error.is_retryable() => {
                    rest = self.backoff.delay(failures, &self.ids);
                    failures += 1;
                    self.tell(Event::Impeded(error)).await;
                }
                Step::Incoming(Err(error)) => {
                    ended = true;
                    self.tell(Event::Ended(error)).await;
                }
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Flow(partitions, flow) => self.consumer.flow(&partitions, flow),
            Command::Commit(positions) => {
                let event = match self.consumer.commit(&positions).await {
                    Ok(()) => Event::Committed(positions),
                    Err(error) => Event::NotCommitted(error),
                };
                self.tell(event).await;
            }
            Command::Release {
                positions,
                partitions,
                within,
            } => {
                // What could not be committed in time is delivered to the next holder, and is a duplicate there.
                if tokio::time::timeout(within, self.commit_patiently(&positions))
                    .await
                    .is_err()
                {
                    tracing::warn!(
                        ?positions,
                        "offsets were not committed before the partitions went"
                    );
                }
                let event = match self.consumer.release(&partitions).await {
                    Ok(()) => Event::Released(partitions),
                    Err(error) => Event::Impeded(error),
                };
                self.tell(event).await;
            }
        }
    }

    async fn commit_patiently(&mut self, positions: &[Position]) {
        let mut failures = 0;
        while !positions.is_empty()
            && let Err(error) = self.consumer.commit(positions).await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "offsets were not committed"
            );
            if !error.is_retryable() {
                return;
            }
            tokio::time::sleep(self.backoff.delay(failures, &self.ids)).await;
            failures += 1;
        }
    }

    /// An engine that is gone needs to be told nothing.
    async fn tell(&mut self, event: Event) {
        if self.events.send(event).await.is_err() {
            tracing::trace!("the engine is gone");
        }
    }
}
