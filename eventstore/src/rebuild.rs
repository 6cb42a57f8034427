//! Making a projection from the streams.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use mainstay_clock::{Backoff, IdGenerator, SystemIds};
use mainstay_database::Transactions as _;

use crate::{
    Aggregate, Error, Events as _, Projection, Recorded,
    store::{Page, RebuildState, RebuildStore, ScannedEvent},
    stream::{prefix_of, successor},
    telemetry,
};

/// Makes a projection from the streams of its aggregate, in steps that can be interrupted.
///
/// A step is one transaction: it reads some events, gives them to the projection, and keeps how far
/// it is. Whatever interrupts a rebuild, the next run goes on where it was, and gives each event to
/// the projection once. Processes that rebuild the same projection share the work.
///
/// A projection that is done is left alone. A higher [`SHAPE`](Projection::SHAPE) begins anew, and so
/// does [`restart`](Self::restart). So run it at each start of the service.
///
/// | setter | default |
/// |---|---|
/// | `batch_size` | 5,000 events a step |
/// | `batch_bytes` | 4 MiB of payloads a step |
/// | `backoff` | 100 ms, doubling up to 10 s |
/// | `ids` | the system's |
///
/// # Events that are appended meanwhile
///
/// A rebuild reads what is committed. Streams that it has passed are not read again. Choose one:
///
/// | the projection is written by | so that it misses nothing and has nothing twice |
/// |---|---|
/// | nobody else yet, or the service stands still | nothing to do |
/// | a consumer of the outbox's topic | Pause the consumer, rebuild, resume. The projection's row keeps the version it has, and skips versions at or below it. |
/// | the transactions that append | The row keeps the version it has. Lock the row, or insert it, before writing; apply all events above its version, from [`history`](crate::EventStore::history). Both sides skip versions at or below it. |
#[derive(Clone, Debug)]
#[must_use = "a rebuild does nothing until it is run"]
pub struct Rebuild<S, P> {
    store: S,
    projection: P,
    batch_size: u32,
    batch_bytes: u64,
    backoff: Backoff,
    ids: Arc<dyn IdGenerator>,
    shared: Arc<Mutex<Status>>,
}

/// What a rebuild has done.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct Status {
    /// How far it is, after this process's last step.
    pub progress: Progress,
    /// Why the last step failed; `None` since a step has succeeded.
    pub last_error: Option<Arc<str>>,
}

/// How far a rebuild is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
#[must_use = "it says whether the rebuild is done"]
pub struct Progress {
    /// Events that the projection has, over all runs.
    pub events: u64,
    /// Events that the streams had when the rebuild began. More may come.
    pub total: u64,
    /// Whether the projection has them all.
    pub is_done: bool,
}

impl<S, P> Rebuild<S, P>
where
    S: RebuildStore,
    P: Projection<S::Connection>,
{
    /// A rebuild of `projection` from the streams in `store`.
    pub fn new(store: S, projection: P) -> Self {
        let () = const { assert!(P::SHAPE > 0, "the number of a shape is 1 or more") };
        Self {
            store,
            projection,
            batch_size: 5_000,
            batch_bytes: 4 << 20,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
            ids: Arc::new(SystemIds::new()),
            shared: Arc::default(),
        }
    }

    /// How many events a step has at most; default 5,000. 0 means 1.
    pub fn batch_size(mut self, events: u32) -> Self {
        self.batch_size = events.max(1);
        self
    }

    /// How many bytes of payloads a step has at most, or one event; default 4 MiB.
    pub const fn batch_bytes(mut self, bytes: u64) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// How long to wait after a database error that heals by itself.
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Where the jitter of the backoff comes from.
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.ids = Arc::new(ids);
        self
    }

    /// What it has done. Clones share it.
    #[must_use]
    pub fn status(&self) -> Status {
        self.locked(|status| status.clone())
    }

    /// Runs it to its end, or until `shutdown` completes; finishes the step in progress then.
    /// Database errors that heal by themselves are retried.
    ///
    /// # Errors
    /// [`Error::Unreadable`] names stream and version; [`Error::Projection`],
    /// [`Error::NewerProjection`], [`Error::Database`]. What was done is kept: run it again.
    ///
    /// # Cancel safety
    /// Dropping the future loses at most the step in progress; the next run repeats it.
    pub async fn run_until(
        &self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<Progress, Error> {
        let mut shutdown = pin!(shutdown);
        let mut failures = 0;
        loop {
            if shutdown.as_mut().now_or_never().is_some() {
                return Ok(self.status().progress);
            }
            match self.step().await {
                Ok(progress) => {
                    failures = 0;
                    self.locked(|status| {
                        status.progress = progress;
                        status.last_error = None;
                    });
                    if progress.is_done {
                        return Ok(progress);
                    }
                }
                Err(error) => {
                    let text = error.to_string().into();
                    self.locked(|status| status.last_error = Some(text));
                    if !error.is_retryable() {
                        return Err(error);
                    }
                    telemetry::rebuild_failed(P::NAME, &error);
                    let delay = self.backoff.delay(failures, &*self.ids);
                    failures = failures.saturating_add(1);
                    tokio::select! {
                        () = shutdown.as_mut() => return Ok(self.status().progress),
                        () = tokio::time::sleep(delay) => {}
                    }
                }
            }
        }
    }

    /// Makes the next step begin anew, in whatever process it is.
    ///
    /// # Errors
    /// [`Error::Database`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves the outcome unknown.
    pub async fn restart(&self) -> Result<(), Error> {
        let database = self.store.database();
        let mut tx = database.begin().await?;
        self.store.lock_rebuild(&mut tx, P::NAME).await?;
        let anew = RebuildState::default();
        self.store.save_rebuild(&mut tx, P::NAME, &anew).await?;
        Ok(database.commit(tx).await?)
    }

    async fn step(&self) -> Result<Progress, Error> {
        let (store, database) = (&self.store, self.store.database());
        let mut tx = database.begin().await?;
        let mut state = store.lock_rebuild(&mut tx, P::NAME).await?;
        if state.shape > P::SHAPE {
            return Err(Error::NewerProjection {
                projection: P::NAME,
                found: state.shape,
                known: P::SHAPE,
            });
        }
        let prefix = prefix_of::<P::Aggregate>();
        let below = successor(&prefix);
        if state.shape < P::SHAPE {
            let reset = self.projection.reset(&mut tx).await;
            reset.map_err(|source| failed::<S, P>(&state, source))?;
            state = RebuildState {
                shape: P::SHAPE,
                after: (prefix.clone(), 0),
                total: store.count_events(&mut tx, &prefix, &below).await?,
                ..RebuildState::default()
            };
        }
        if state.is_done {
            return Ok(progress(&state));
        }
        let page = Page {
            after: (&state.after.0, state.after.1),
            below: &below,
            events: self.batch_size,
            bytes: self.batch_bytes,
        };
        let mut read = Read::<P::Aggregate>::new(prefix.len());
        let mut visit = |event: ScannedEvent<'_>| read.take(event);
        store.scan_events(&mut tx, page, &mut visit).await?;
        let Read { events, stream, .. } = read;
        if !events.is_empty() {
            let projected = self.projection.project(&mut tx, &events).await;
            projected.map_err(|source| failed::<S, P>(&state, source))?;
        }
        state.events += events.len() as u64;
        match events.last() {
            Some(last) => state.after = (stream, last.version),
            None => state.is_done = true,
        }
        store.save_rebuild(&mut tx, P::NAME, &state).await?;
        database.commit(tx).await?;
        telemetry::rebuilt(P::NAME, events.len());
        Ok(progress(&state))
    }

    fn locked<T>(&self, with: impl FnOnce(&mut Status) -> T) -> T {
        with(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

const fn progress(state: &RebuildState) -> Progress {
    Progress {
        events: state.events,
        total: state.total,
        is_done: state.is_done,
    }
}

fn failed<S: RebuildStore, P: Projection<S::Connection>>(
    state: &RebuildState,
    source: crate::ProjectionError,
) -> Error {
    let (stream, version) = &state.after;
    Error::Projection {
        projection: P::NAME,
        after: format!("{stream}@{version}"),
        source,
    }
}

/// The events of a step.
struct Read<A: Aggregate> {
    /// Bytes of a stream's name before the id.
    prefix: usize,
    /// The stream of the last event, whose id its events share.
    stream: String,
    id: Arc<str>,
    events: Vec<Recorded<A::Event>>,
}

impl<A: Aggregate> Read<A> {
    fn new(prefix: usize) -> Self {
        Self {
            prefix,
            stream: String::new(),
            id: "".into(),
            events: Vec::new(),
        }
    }

    fn take(&mut self, scanned: ScannedEvent<'_>) -> Result<(), Error> {
        let ScannedEvent {
            stream, version, ..
        } = scanned;
        let event = A::Event::decode(scanned.kind, scanned.schema_version, scanned.payload);
        let event = event.map_err(|source| Error::Unreadable {
            stream: stream.to_owned(),
            version,
            source: source.into(),
        })?;
        if self.stream != stream {
            stream.clone_into(&mut self.stream);
            self.id = stream.get(self.prefix..).unwrap_or_default().into();
        }
        self.events.push(Recorded {
            id: Arc::clone(&self.id),
            version,
            recorded_at: scanned.recorded_at,
            event,
        });
        Ok(())
    }
}
