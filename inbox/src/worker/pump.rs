//! The task that owns the consumer and keeps polling it while handlers run.

use std::{pin::pin, sync::Arc, time::Duration};

use mainstay_clock::{Backoff, IdGenerator};
use mainstay_messaging::{Consumer, Error, Partition, Position, broker::ConsumerEvent};
use tokio::sync::mpsc;

/// What the engine asks of the pump.
#[derive(Debug)]
pub(super) enum Command {
    Commit(Vec<Position>),
    Pause(Vec<Partition>),
    Resume(Vec<Partition>),
    /// Commit these positions, retrying for up to `within`, then release these partitions.
    Release {
        positions: Vec<Position>,
        partitions: Vec<Partition>,
        within: Duration,
    },
}

/// What the pump tells the engine.
#[derive(Debug)]
pub(super) enum Event {
    ConsumerEvent(ConsumerEvent),
    Committed(Vec<Position>),
    NotCommitted(Error),
    /// These partitions were released. Earlier news of them is obsolete.
    Released(Vec<Partition>),
    /// The broker does not answer; the pump asks again after a backoff.
    Hindered(Error),
    /// The broker has ended this consumer.
    Ended(Error),
}

/// Polls until the engine has dropped its end of the command channel and all commands are carried
/// out.
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

/// The longest time that `next` runs before a commit interrupts it.
const LONGEST_TURN: Duration = Duration::from_secs(1);

impl<C: Consumer> Pump<C> {
    pub(super) async fn run(mut self) {
        let (mut ended, mut resting, mut failures) = (false, false, 0);
        let mut rest = pin!(tokio::time::sleep(Duration::ZERO));
        // Each other call of the consumer drops `next`, which then starts again. So a commit waits
        // until `next` has returned since the last commit, or has had its turn. A turn doubles each
        // time it was interrupted: `next` needs more time, or has no news.
        let (mut waiting, mut interrupted) = (None, 0);
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
                Step::Command(Some(Command::Pause(partitions))) => self.consumer.pause(&partitions),
                Step::Command(Some(Command::Resume(partitions))) => {
                    self.consumer.resume(&partitions);
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
                    turn.set(tokio::time::sleep(self.turn(interrupted)));
                    interrupted = interrupted.saturating_add(1);
                }
                Step::ConsumerEvent(incoming) => {
                    interrupted = 0;
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
                            self.tell(Event::Hindered(error)).await;
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

    /// How long `next` may run after it was interrupted this often.
    fn turn(&self, interrupted: u32) -> Duration {
        let shortest = self.commit_interval.max(Duration::from_millis(1));
        let doubled = shortest.saturating_mul(1_u32.checked_shl(interrupted).unwrap_or(u32::MAX));
        doubled.min(LONGEST_TURN)
    }

    async fn commit(&mut self, positions: Vec<Position>) {
        let event = match self.consumer.commit(&positions).await {
            Ok(()) => Event::Committed(positions),
            Err(error) => Event::NotCommitted(error),
        };
        self.tell(event).await;
    }

    /// Messages whose offsets were not committed in time go to the next owner, and are duplicates
    /// there.
    async fn release(
        &mut self,
        positions: Vec<Position>,
        partitions: Vec<Partition>,
        within: Duration,
    ) {
        let committing = self.commit_with_retries(&positions);
        if tokio::time::timeout(within, committing).await.is_err() {
            tracing::warn!(
                ?positions,
                "offsets were not committed before the partitions were released; their messages are delivered again as duplicates"
            );
        }
        let event = match self.consumer.release(&partitions).await {
            Ok(()) => Event::Released(partitions),
            Err(error) => Event::Hindered(error),
        };
        self.tell(event).await;
    }

    async fn commit_with_retries(&mut self, positions: &[Position]) {
        let mut failures = 0;
        while !positions.is_empty()
            && let Err(error) = self.consumer.commit(positions).await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "offsets were not committed while partitions are being released"
            );
            if !error.is_retryable() {
                return;
            }
            tokio::time::sleep(self.backoff.delay(failures, &self.ids)).await;
            failures += 1;
        }
    }

    /// If the engine has ended, there is nobody to tell.
    async fn tell(&mut self, event: Event) {
        if self.events.send(event).await.is_err() {
            tracing::trace!("the engine has ended");
        }
    }
}
