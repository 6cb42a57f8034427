//! The loop that ties broker, scheduler and transactions together.

mod commits;
mod flights;
mod intake;
mod verdict;

use std::{
    collections::BTreeMap,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use mainstay_clock::Monotonic;
use mainstay_messaging::{Consumer, Delivery, Position};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    handle::Shared,
    holdings::{Bound, Holdings},
    kinds::UnknownKinds,
    lanes::{LaneId, Lanes},
    pump::{Command, Event, Pump},
    upkeep::upkeep,
    work::Work,
};
use crate::{Error, Status, status::BlockedKey, store::WorkerStore};
use flights::Flights;

/// The longest pause of the loop. Whatever concerns it wakes it earlier.
const IDLE: Duration = Duration::from_secs(60);

/// The state of one run.
pub(super) struct Engine<I: WorkerStore> {
    work: Arc<Work<I>>,
    commands: mpsc::UnboundedSender<Command>,
    holdings: Holdings,
    lanes: Lanes<Arc<Delivery>>,
    flights: Flights,
    /// When the next transaction may start.
    next_start: Monotonic,
    offsets: OffsetCommits,
    progress: watch::Sender<Vec<Position>>,
    /// While the database does not answer: when to try it again, and how often that failed.
    outage: Option<(Monotonic, u32)>,
    blocked: BTreeMap<LaneId, BlockedKey>,
    unknown_kinds: UnknownKinds,
    last_error: Option<Arc<str>>,
    /// Set once nothing more is started.
    closing: Option<Closing>,
    ended: Option<Error>,
    shared: Arc<Shared>,
    changed: bool,
}

/// When offsets are committed.
struct OffsetCommits {
    /// Whether something was finished since the last commit.
    due: bool,
    /// Whether a commit is under way.
    outstanding: bool,
    next: Monotonic,
}

/// How the run ends.
#[derive(Clone, Copy)]
enum Closing {
    /// Running transactions may end until then.
    Draining(Monotonic),
    /// Running transactions were abandoned, and have until then to end.
    Abandoning(Monotonic),
}

impl<I: WorkerStore> Engine<I> {
    /// Runs until `shutdown`, or until the broker has ended this consumer.
    pub(super) async fn run(
        work: Arc<Work<I>>,
        consumer: impl Consumer,
        shared: &Arc<Shared>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), Error> {
        let (commands, commanded) = mpsc::unbounded_channel();
        let (events, mut news) = mpsc::channel(1);
        let mut tasks = JoinSet::new(); // aborted if this future is dropped
        let pump = Pump {
            consumer,
            commands: commanded,
            events,
            backoff: work.settings.backoff,
            ids: Arc::clone(&work.settings.ids),
            commit_interval: work.settings.commit_interval,
        };
        tasks.spawn(pump.run());
        let (progress, committed) = watch::channel(Vec::new());
        let housekeeping = tasks.spawn(upkeep(Arc::clone(&work), committed));
        let mut engine = Self {
            commands,
            holdings: Holdings::new(
                Bound {
                    messages: work.settings.max_in_flight_messages,
                    bytes: work.settings.max_in_flight_bytes,
                },
                Bound {
                    messages: work.settings.max_in_flight_total_messages,
                    bytes: work.settings.max_in_flight_total_bytes,
                },
            ),
            lanes: Lanes::new(),
            flights: Flights::new(),
            next_start: work.settings.clock.monotonic(),
            offsets: OffsetCommits {
                due: false,
                outstanding: false,
                next: work.settings.clock.monotonic(),
            },
            progress,
            outage: None,
            blocked: BTreeMap::new(),
            unknown_kinds: UnknownKinds::default(),
            last_error: None,
            closing: None,
            ended: None,
            shared: Arc::clone(shared),
            changed: true,
            work,
        };
        engine.turn_until_drained(&mut news, pin!(shutdown)).await;
        housekeeping.abort();
        engine.leave(news, tasks).await
    }

    async fn turn_until_drained(
        &mut self,
        news: &mut mpsc::Receiver<Event>,
        mut shutdown: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) {
        loop {
            let now = self.work.settings.clock.monotonic();
            self.start(now);
            self.commit_offsets(now);
            self.regulate();
            self.hand_over(now);
            self.report();
            match self.closing {
                Some(_) if self.flights.is_empty() => return,
                Some(Closing::Draining(until)) if until.has_passed_at(now) => {
                    self.flights.abandon_all();
                    self.closing =
                        Some(Closing::Abandoning(now + self.work.settings.drain_timeout));
                }
                // A handler that blocks its thread cannot be ended: leave it behind.
                Some(Closing::Abandoning(until)) if until.has_passed_at(now) => return,
                _ => {}
            }
            let wake = self
                .next_wake(now)
                .map_or(IDLE, |when| when.remaining_at(now));
            // Biased, so that a simulated run follows from its seed. Ended transactions come first:
            // there are never more of them than may run at once, and the consumer has no news for
            // long while the window is full.
            tokio::select! {
                biased;
                () = &mut shutdown, if self.closing.is_none() => {
                    self.closing = Some(Closing::Draining(self.now() + self.work.settings.drain_timeout));
                }
                Some((flight, landing)) = self.flights.next() => self.judge(flight, landing),
                event = news.recv() => match event {
                    Some(event) => self.take_in(event),
                    None => return, // the pump has panicked: `leave` reports it
                },
                () = tokio::time::sleep(wake) => {}
            }
        }
    }

    /// Commits offsets, releases all partitions, and waits until the consumer has done so.
    async fn leave(
        mut self,
        mut news: mpsc::Receiver<Event>,
        mut tasks: JoinSet<()>,
    ) -> Result<(), Error> {
        let limit = self.work.settings.drain_timeout;
        let partitions = self.holdings.progress().into_iter().map(|p| p.partition);
        self.command(Command::Release {
            positions: self.holdings.committable(),
            partitions: partitions.collect(),
            within: limit,
        });
        self.shared.set_status(Status::default());
        drop(self.commands);
        let leaving = async {
            // The pump may wait until its news are read.
            while news.recv().await.is_some() {}
            while let Some(ended) = tasks.join_next().await {
                if let Err(error) = ended
                    && error.is_panic()
                {
                    let panicked = mainstay_messaging::Error::Refused(error.into());
                    self.ended = Some(Error::Broker(panicked));
                }
            }
        };
        let patience = limit.saturating_mul(2);
        if tokio::time::timeout(patience, leaving).await.is_err() {
            tracing::warn!(
                consumer = %self.work.group, timeout = ?patience,
                "the consumer did not leave its group in time; the broker will expire its membership"
            );
        }
        self.ended.map_or(Ok(()), Err)
    }

    fn next_wake(&self, now: Monotonic) -> Option<Monotonic> {
        let offsets = (self.offsets.due && !self.offsets.outstanding).then_some(self.offsets.next);
        let start = match self.outage {
            // A lane that is ready and cannot start now waits for a transaction to end, not for the
            // time.
            _ if self.closing.is_some() || self.flights.len() >= self.work.settings.concurrency => {
                None
            }
            Some((when, _)) if !when.has_passed_at(now) => Some(when),
            _ => {
                let waits = self.lanes.is_any_ready() && !self.next_start.has_passed_at(now);
                let ready = waits.then_some(self.next_start);
                ready.into_iter().chain(self.lanes.next_wake()).min()
            }
        };
        let abandon = self.holdings.iter().filter_map(|(_, h)| h.abandon_at).min();
        let closing = self.closing.map(|closing| match closing {
            Closing::Draining(until) | Closing::Abandoning(until) => until,
        });
        let times = [offsets, start, abandon, closing];
        times.into_iter().flatten().min()
    }

    fn now(&self) -> Monotonic {
        self.work.settings.clock.monotonic()
    }

    /// If the pump has ended, its closed event channel ends the run.
    fn command(&self, command: Command) {
        if self.commands.send(command).is_err() {
            tracing::trace!("the pump has ended");
        }
    }

    /// Publishes the status if it has changed.
    fn report(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let lanes = &self.lanes;
        self.blocked
            .retain(|lane, _| lanes.behind_head(*lane).is_some());
        for (lane, key) in &mut self.blocked {
            key.waiting = lanes.behind_head(*lane).unwrap_or(0);
        }
        let status = Status {
            running: true,
            partitions: self.holdings.status(),
            blocked_keys: self.blocked.values().cloned().collect(),
            last_error: self.last_error.clone(),
        };
        let in_flight: usize = status.partitions.iter().map(|p| p.in_flight).sum();
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        {
            self.work.meters.in_flight.set(in_flight as f64);
            self.work
                .meters
                .blocked_keys
                .set(status.blocked_keys.len() as f64);
        }
        self.shared.set_status(status);
    }
}
