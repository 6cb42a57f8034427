//! The task that owns the consumer: it keeps polling while handlers run.

use std::{pin::pin, sync::Arc, time::Duration};

use mainstay_clock::{Backoff, IdGenerator};
use mainstay_messaging::{Consumer, ConsumerEvent, Error, Flow, Partition, Position};
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
    ConsumerEvent(ConsumerEvent),
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
    pub(super) commit_interval: Duration,
}

enum Step {
    Command(Option<Command>),
    Commit,
    ConsumerEvent(Result<ConsumerEvent, Error>),
    Rested,
}

/// How long `next` is left alone at most before a commit breaks it off.
const LONGEST_TURN: Duration = Duration::from_secs(1);

impl<C: Consumer> Pump<C> {
    pub(super) async fn run(mut self) {
        let (mut ended, mut resting, mut failures) = (false, false, 0);
        let mut rest = pin!(tokio::time::sleep(Duration::ZERO));
        // Each call to the consumer drops `next`, which then begins anew. A commit waits until `next` has come to an end once
        // since the last one, or had its turn: longer each time it had to be broken off, since whatever it does
        // takes longer than that, or it has nothing to tell.
        let (mut waiting, mut broken_off) = (None, 0);
        let mut turn = pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            let polls = !resting && !ended;
            let step = tokio::select! {
                biased;
                command = self.commands.recv() => Step::Command(command),
                () = std::future::ready(()), if waiting.is_some() && !polls => Step::Commit,
                () = &mut turn, if waiting.is_some() => Step::Commit,
                () = &mut rest, if resting => Step::Rested,
                incoming = self.consumer.next(), if polls => Step::ConsumerEvent(incoming),
            };
            match step {
                Step::Rested => resting = false,
                Step::Command(None) => return,
                Step::Command(Some(Command::Commit(positions))) => waiting = Some(positions),
                Step::Command(Some(Command::Flow(partitions, flow))) => {
                    self.consumer.flow(&partitions, flow);
                }
                Step::Command(Some(Command::Release {
                    positions,
                    partitions,
                    within,
                })) => {
                    if let Some(earlier) = waiting.take() {
                        self.commit(earlier).await;
                    }
                    self.release(positions, partitions, within).await;
                }
                Step::Commit => {
                    if let Some(positions) = waiting.take() {
                        self.commit(positions).await;
                    }
                    turn.set(tokio::time::sleep(self.turn(broken_off)));
                    broken_off = broken_off.saturating_add(1);
                }
                Step::ConsumerEvent(incoming) => {
                    broken_off = 0;
                    turn.set(tokio::time::sleep(Duration::ZERO));
                    match incoming {
                        Ok(incoming) => {
                            failures = 0;
                            self.tell(Event::ConsumerEvent(incoming)).await;
                        }
                        Err(error) if error.is_retryable() => {
                            let pause = self.backoff.delay(failures, &self.ids);
                            rest.set(tokio::time::sleep(pause));
                            (resting, failures) = (true, failures.saturating_add(1));
                            self.tell(Event::Impeded(error)).await;
                        }
                        Err(error) => {
                            ended = true;
                            self.tell(Event::Ended(error)).await;
                        }
                    }
                }
            }
        }
    }

    /// How long `next` is left alone after it was broken off so often.
    fn turn(&self, broken_off: u32) -> Duration {
        let shortest = self.commit_interval.max(Duration::from_millis(1));
        let doubled = shortest.saturating_mul(1_u32.checked_shl(broken_off).unwrap_or(u32::MAX));
        doubled.min(LONGEST_TURN)
    }

    async fn commit(&mut self, positions: Vec<Position>) {
        let event = match self.consumer.commit(&positions).await {
            Ok(()) => Event::Committed(positions),
            Err(error) => Event::NotCommitted(error),
        };
        self.tell(event).await;
    }

    /// What could not be committed in time is delivered to the next holder, and is a duplicate there.
    async fn release(
        &mut self,
        positions: Vec<Position>,
        partitions: Vec<Partition>,
        within: Duration,
    ) {
        let committing = self.commit_patiently(&positions);
        if tokio::time::timeout(within, committing).await.is_err() {
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
