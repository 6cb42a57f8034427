//! Acquiring locks.

mod attempt;
mod lease;
mod renewal;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mainstay_clock::{Clock, IdGenerator, Monotonic, SystemClock, SystemIds};

use crate::{Error, FencingToken, Guard, Leader, name, store::LeaseStore};
use attempt::Attempt;
use renewal::Renewals;

pub(crate) use lease::Lease;

/// Locks in a store of leases. Clones share them.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use mainstay_dlock::{Locks, MemoryLeases, database::memory::Database};
/// use std::time::Duration;
///
/// let leases = MemoryLeases::builder(&Database::new()).open().await?;
/// let locks = Locks::builder(leases).lease(Duration::from_secs(10)).build();
///
/// let guard = locks.acquire("reports", Duration::from_secs(30)).await?;
/// assert!(locks.try_acquire("reports").await?.is_none());
/// guard.release().await?;
/// # Ok::<_, mainstay_dlock::Error>(()) }).unwrap();
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Locks {
    shared: Arc<Shared>,
}

/// Settings of [`Locks`]; from [`Locks::builder`].
///
/// | setter | default |
/// |---|---|
/// | `lease` | 10 s |
/// | `poll_interval` | 500 ms |
/// | `clock`, `ids` | the system's |
#[must_use = "call build() to make the locks"]
pub struct LocksBuilder {
    store: Arc<dyn LeaseStore>,
    settings: Settings,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) lease: Duration,
    pub(crate) poll_interval: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdGenerator>,
}

/// What locks and guards share.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn LeaseStore>,
    pub(crate) settings: Settings,
    renewals: Renewals,
    /// Tokens that guarded resources have seen and refused newer holders for.
    floors: Mutex<HashMap<String, FencingToken>>,
}

impl Locks {
    /// Locks with default settings.
    #[must_use]
    pub fn new(store: impl LeaseStore) -> Self {
        Self::builder(store).build()
    }

    /// Locks with settings of their own.
    pub fn builder(store: impl LeaseStore) -> LocksBuilder {
        LocksBuilder {
            store: Arc::new(store),
            settings: Settings {
                lease: Duration::from_secs(10),
                poll_interval: Duration::from_millis(500),
                clock: Arc::new(SystemClock::new()),
                ids: Arc::new(SystemIds::new()),
            },
        }
    }

    /// Takes the lock `name` if it is free; `None` if another owner has it.
    ///
    /// Each acquisition has an owner of its own: a second call waits for the guard of the first one.
    ///
    /// # Errors
    /// Those of the store. If it failed, the lock may have been taken all the same; it is given back in the background.
    ///
    /// # Cancel safety
    /// Cancel safe: what was taken is given back in the background.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn try_acquire(&self, name: &str) -> Result<Option<Guard>, Error> {
        name::check(name)?;
        Attempt::new(&self.shared, name).once().await
    }

    /// Takes the lock `name`, waiting for it for `at_most` so long.
    ///
    /// Waiters ask again at the [`poll_interval`](LocksBuilder::poll_interval); they do not queue.
    ///
    /// # Errors
    /// [`Error::Held`] if another owner had the lock until the end. Errors of the store that
    /// [may heal](Error::is_retryable) are returned at the end as well, others at once.
    ///
    /// # Cancel safety
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn acquire(&self, name: &str, at_most: Duration) -> Result<Guard, Error> {
        self.wait_for(name, at_most, |_| {}).await
    }

    /// As [`acquire`](Self::acquire), and tells `waits` before each pause why.
    pub(crate) async fn wait_for(
        &self,
        name: &str,
        at_most: Duration,
        waits: impl Fn(&Error) + Send + Sync,
    ) -> Result<Guard, Error> {
        name::check(name)?;
        let clock = &self.shared.settings.clock;
        let deadline = clock.monotonic() + at_most;
        let attempt = Attempt::new(&self.shared, name);
        attempt.until(deadline, at_most, waits).await
    }

    /// Elects a leader: among all candidates for `name`, in all processes, at most one runs `work`.
    /// See [`Leader`].
    pub fn lead<W>(&self, name: impl Into<String>, work: W) -> Leader<W> {
        Leader::new(self.clone(), name.into(), work)
    }

    /// From now on these locks are granted for `name` with tokens larger than `seen`.
    ///
    /// [`Guard::check`] says so when a token was refused. It is needed where a token reached the resource by
    /// another way.
    pub fn raise_floor(&self, name: &str, seen: FencingToken) {
        self.shared.raise_floor(name, seen);
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }
}

impl LocksBuilder {
    /// How long a holder that no longer responds keeps its lock; default 10 s. It is renewed after a third.
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How often to look whether a lock that another owner has is free; default 500 ms.
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.settings.poll_interval = interval;
        self
    }

    /// The clock that ends a guard's work in time; default: the system's, which counts suspended time.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// The source of the owners' ids and of jitter; default: the system's.
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.settings.ids = Arc::new(ids);
        self
    }

    /// The locks.
    #[must_use]
    pub fn build(self) -> Locks {
        Locks {
            shared: Arc::new(Shared {
                store: self.store,
                settings: self.settings,
                renewals: Renewals::default(),
                floors: Mutex::default(),
            }),
        }
    }
}

impl Shared {
    /// When a lease that was asked for at `sent` ends on this side. The store counts from a later moment, and its
    /// clock may run faster than this one by a hundredth.
    pub(crate) fn deadline(&self, sent: Monotonic) -> Monotonic {
        let lease = self.settings.lease;
        sent + lease.saturating_sub(lease / 100 + Duration::from_millis(2))
    }

    pub(crate) fn raise_floor(&self, name: &str, seen: FencingToken) {
        let mut floors = self.floors();
        let floor = floors.entry(name.to_owned()).or_insert(FencingToken::ZERO);
        *floor = seen.max(*floor);
    }

    fn floor(&self, name: &str) -> FencingToken {
        let floors = self.floors();
        floors.get(name).copied().unwrap_or(FencingToken::ZERO)
    }

    fn floors(&self) -> MutexGuard<'_, HashMap<String, FencingToken>> {
        self.floors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locks")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for LocksBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocksBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
