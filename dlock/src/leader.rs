//! Leader election.

mod handle;

use std::{error::Error as StdError, fmt, pin::pin, time::Duration};

use mainstay_clock::Backoff;

use crate::{Error, Guard, Locks};

pub use handle::{LeaderHandle, LeaderStatus};

/// A candidate for leadership; from [`Locks::lead`].
///
/// Of all candidates for a name, in all processes, at most one runs its work. When its lease ends, its work is
/// dropped and another candidate begins. The work gets the [`Guard`]; let it [check](Guard::check) the token in
/// every transaction that writes.
///
/// | the work | what follows |
/// |---|---|
/// | returns `Ok` | leadership is given up, and `run_until` returns |
/// | returns an error | leadership is given up; after a pause this candidate tries again |
/// | loses the lease | it is dropped; this candidate tries again at once |
/// | releases the guard | it goes on to its end, while others may lead |
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use mainstay_dlock::{Error, Guard, Locks, MemoryLeases, database::memory::Database};
///
/// async fn sweep(guard: Guard) -> Result<(), Error> {
///     // … once a second: begin, guard.check(&fences, &mut tx), sweep, commit …
///     # drop(guard);
///     Ok(())
/// }
/// # async fn shutdown_signal() { std::future::pending().await }
/// # let leases = MemoryLeases::builder(&Database::new()).open().await?;
/// let locks = Locks::new(leases);
/// locks.lead("sweeper", sweep).run_until(shutdown_signal()).await?;
/// # Ok::<_, Error>(()) }).unwrap();
/// # Ok::<_, std::io::Error>(())
/// ```
#[must_use = "call run_until() to stand for election"]
pub struct Leader<W> {
    locks: Locks,
    name: String,
    work: W,
    backoff: Backoff,
    handle: LeaderHandle,
}

impl<W> Leader<W> {
    pub(crate) fn new(locks: Locks, name: String, work: W) -> Self {
        Self {
            locks,
            name,
            work,
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(30)),
            handle: LeaderHandle::default(),
        }
    }

    /// Shows this candidate's state while it runs.
    #[must_use]
    pub fn handle(&self) -> LeaderHandle {
        self.handle.clone()
    }

    /// What this candidate is doing; its [`handle`](Self::handle) says it while it runs.
    #[must_use]
    pub fn status(&self) -> LeaderStatus {
        self.handle.status()
    }

    /// Pause after an error of the work; default 500 ms to 30 s.
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Leads whenever it is elected, until `shutdown` completes. Then the work is dropped where it is, and the
    /// lock is released.
    ///
    /// # Errors
    /// Errors of the store that do not heal, such as a name that is too long.
    ///
    /// # Cancel safety
    /// Dropping the future drops the work and releases the lock in the background.
    pub async fn run_until<F, E>(
        self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), Error>
    where
        W: Fn(Guard) -> F + Send + Sync,
        F: Future<Output = Result<(), E>> + Send,
        E: Send + Into<Box<dyn StdError + Send + Sync>>,
    {
        let mut shutdown = pin!(shutdown);
        let mut failures = 0;
        loop {
            let guard = tokio::select! {
                biased;
                () = &mut shutdown => return Ok(()),
                elected = elected(&self.locks, &self.name, &self.handle) => elected?,
            };
            tracing::info!(lock = self.name, token = %guard.token(), "elected leader");
            let settings = self.locks.settings();
            let began = settings.clock.monotonic();
            let term = self.handle.elected(guard.token());
            let ended = tokio::select! {
                biased;
                () = &mut shutdown => None,
                ended = guard.run((self.work)(guard.share())) => Some(ended),
            };
            drop(term);
            step_down(guard, settings.lease).await;
            match ended {
                None | Some(Ok(Ok(()))) => return Ok(()),
                Some(Err(_lost)) => {}
                Some(Ok(Err(error))) => {
                    let (error, name) = (error.into(), &self.name);
                    self.handle.failed(&*error);
                    tracing::warn!(lock = name, %error, "the leader's work failed; trying again");
                    if settings.clock.monotonic() - began > settings.lease {
                        failures = 0;
                    }
                    let pause = self.backoff.delay(failures, &*settings.ids);
                    failures = failures.saturating_add(1);
                    tokio::select! {
                        biased;
                        () = &mut shutdown => return Ok(()),
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
    }
}

/// Waits for as long as it takes.
async fn elected(locks: &Locks, name: &str, handle: &LeaderHandle) -> Result<Guard, Error> {
    loop {
        let waiting = locks.wait_for(name, Duration::MAX, |why| handle.waits(why));
        match waiting.await {
            Err(error) if error.is_retryable() => {}
            elected => return elected,
        }
    }
}

/// A release that fails is repeated in the background.
async fn step_down(guard: Guard, lease: Duration) {
    let name = guard.name().to_owned();
    let released = tokio::time::timeout(lease, guard.release()).await;
    if let Ok(Err(error)) = released {
        tracing::warn!(lock = name, %error, "leadership could not be given up; the next leader waits for the lease");
    }
}

impl<W> fmt::Debug for Leader<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leader")
            .field("name", &self.name)
            .field("backoff", &self.backoff)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
