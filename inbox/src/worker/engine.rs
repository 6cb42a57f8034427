//! The loop that ties broker, scheduler and transactions together.

mod commits;
mod flights;
mod intake;
mod verdict;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mainstay_clock::Monotonic;
use mainstay_database::Transactions;
use mainstay_messaging::{Consumer, Delivery, Position};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    holdings::{Bound, Holdings},
    lanes::{LaneId, Lanes},
    pump::{Command, Event, Pump},
    upkeep::upkeep,
    work::Work,
};
use crate::{Error, Inbox, MarkRetention, Status, StoppedKey};
use flights::Flights;

/// How long nothing may happen at all before the loop looks around again; all that matters wakes it earlier.
const IDLE: Duration = Duration::from_secs(60);

/// The state of one run.
pub(super) struct Engine<T: Transactions + ?Sized, I: ?Sized> {
    work: Arc<Work<T, I>>,
    commands: mpsc::UnboundedSender<Command>,
    holdings: Holdings,
    lanes: Lanes<Arc<Delivery>>,
    flights: Flights,
    saves: Saves,
    progress: watch::Sender<Vec<Position>>,
    /// While the database does not answer: when it is tried again, and how often it was.
    gate: Option<(Monotonic, u32)>,
    stopped: BTreeMap<LaneId, StoppedKey>,
    impeded_by: Option<Arc<str>>,
    /// Set once no more is started.
    closing: Option<Closing>,
    ended: Option<Error>,
    status: Arc<Mutex<Status>>,
    changed: bool,
}

/// When offsets are committed.
struct Saves {
    /// Whether something was finished since the last time.
    due: bool,
    /// Whether the broker's answer is outstanding.
    outstanding: bool,
    next: Monotonic,
}

/// How the run ends.
#[derive(Clone, Copy)]
enum Closing {
    /// What is in flight may end until then.
    Draining(Monotonic),
    /// It was abandoned, and has until then to notice.
    Abandoning(Monotonic),
}

impl<T, I> Engine<T, I>
where
    T: Transactions + ?Sized,
    I: Inbox<Connection = T::Connection> + MarkRetention + ?Sized,
{
    /// Runs until shutdown or until the broker has ended this member.
    pub(super) async fn run(
        work: Arc<Work<T, I>>,
        consumer: impl Consumer,
        status: Arc<Mutex<Status>>,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let (commands, commanded) = mpsc::unbounded_channel();
        let (events, mut told) = mpsc::channel(1);
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
            holdings: Holdings::new(Bound {
                messages: work.settings.span_messages,
                bytes: work.settings.span_bytes,
            }),
            lanes: Lanes::new(),
            flights: Flights::new(),
            saves: Saves {
                due: false,
                outstanding: false,
                next: work.settings.clock.monotonic(),
            },
            progress,
            gate: None,
            stopped: BTreeMap::new(),
            impeded_by: None,
            closing: None,
            ended: None,
            status,
            changed: true,
            work,
        };
        engine.turn_until_drained(&mut told, &shutdown).await;
        housekeeping.abort();
        engine.leave(told, tasks).await
    }

    async fn turn_until_drained(
        &mut self,
        told: &mut mpsc::Receiver<Event>,
        shutdown: &CancellationToken,
    ) {
        loop {
            let now = self.work.settings.clock.monotonic();
            self.start(now);
            self.save(now);
            self.regulate();
            self.hand_over(now);
            self.report();
            match self.closing {
                Some(_) if self.flights.is_empty() => return,
                Some(Closing::Draining(until)) if until.has_passed_at(now) => {
                    self.flights.abandon_all();
                    self.closing = Some(Closing::Abandoning(now + self.work.settings.drain));
                }
                // A handler that blocks its thread cannot be stopped: leave it behind.
                Some(Closing::Abandoning(until)) if until.has_passed_at(now) => return,
                _ => {}
            }
            let wake = self
                .next_wake(now)
                .map_or(IDLE, |when| when.remaining_at(now));
            // Biased, as a run that follows from its seed needs it. What has landed comes first: there are no more of these than
            // may run at once, and nobody is told anything for long while the span is at its bound.
            tokio::select! {
                biased;
                () = shutdown.cancelled(), if self.closing.is_none() => {
                    self.closing = Some(Closing::Draining(self.now() + self.work.settings.drain));
                }
                Some((flight, landing)) = self.flights.next() => self.judge(flight, landing),
                event = told.recv() => match event {
                    Some(event) => self.take_in(event),
                    None => return, // the pump has panicked: `leave` tells
                },
                () = tokio::time::sleep(wake) => {}
            }
        }
    }

    /// Commits what is finished, gives everything back, and waits until the consumer has done so.
    async fn leave(
        mut self,
        mut told: mpsc::Receiver<Event>,
        mut tasks: JoinSet<()>,
    ) -> Result<(), Error> {
        let limit = self.work.settings.drain;
        let partitions = self.holdings.progress().into_iter().map(|p| p.partition);
        self.command(Command::Release {
            positions: self.holdings.committable(),
            partitions: partitions.collect(),
            within: limit,
        });
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = Status::default();
        drop(self.commands);
        let leaving = async {
            // The pump may be waiting to be heard.
            while told.recv().await.is_some() {}
            while let Some(ended) = tasks.join_next().await {
                if let Err(error) = ended
                    && error.is_panic()
                {
                    let panicked = mainstay_messaging::Error::Refused(error.into());
                    self.ended = Some(Error::Broker(panicked));
                }
            }
        };
        if tokio::time::timeout(limit * 2, leaving).await.is_err() {
            tracing::warn!("the broker did not let this consumer leave in time");
        }
        self.ended.map_or(Ok(()), Err)
    }

    fn next_wake(&self, now: Monotonic) -> Option<Monotonic> {
        let save = (self.saves.due && !self.saves.outstanding).then_some(self.saves.next);
        let start = match self.gate {
            // A lane that is ready and cannot start now waits for a landing, not for the time.
            _ if self.closing.is_some() || self.flights.len() >= self.work.settings.concurrency => {
                None
            }
            Some((when, _)) if !when.has_passed_at(now) => Some(when),
            _ => self.lanes.next_wake(),
        };
        let abandon = self.holdings.iter().filter_map(|(_, h)| h.abandon_at).min();
        let closing = self.closing.map(|closing| match closing {
            Closing::Draining(until) | Closing::Abandoning(until) => until,
        });
        let times = [save, start, abandon, closing];
        times.into_iter().flatten().min()
    }

    fn now(&self) -> Monotonic {
        self.work.settings.clock.monotonic()
    }

    /// A pump that is gone ends the run by closing its other channel.
    fn command(&self, command: Command) {
        if self.commands.send(command).is_err() {
            tracing::trace!("the consumer is gone");
        }
    }

    /// Publishes the status if it has changed.
    fn report(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let lanes = &self.lanes;
        self.stopped
            .retain(|lane, _| lanes.behind_head(*lane).is_some());
        for (lane, key) in &mut self.stopped {
            key.waiting = lanes.behind_head(*lane).unwrap_or(0);
        }
        let status = Status {
            running: true,
            partitions: self.holdings.status(),
            stopped: self.stopped.values().cloned().collect(),
            impeded_by: self.impeded_by.clone(),
        };
        let in_span: usize = status.partitions.iter().map(|p| p.in_span).sum();
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        {
            self.work.meters.in_span.set(in_span as f64);
            self.work.meters.stopped.set(status.stopped.len() as f64);
        }
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}
