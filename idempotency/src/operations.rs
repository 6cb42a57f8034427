//! Operations under leases, whatever they are.

mod hold;

use std::{any::Any, panic::resume_unwind, sync::Arc, time::Duration};

use mainstay_clock::{Clock, SystemClock};
use tracing::Instrument as _;

use crate::{Answer, Begun, Error, KeyedRequest, Lease, Leases, Settled, telemetry};
use hold::Holder;

/// Runs operations whose effects are elsewhere, each under the lease of its key.
///
/// ```
/// # #[cfg(not(feature = "memory"))] fn main() {}
/// # #[cfg(feature = "memory")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use mainstay_idempotency::{Answer, KeyedRequest, MemoryLeases, Operations, Outcome, Scope};
/// # async fn charge_at_provider(_: &str) -> Result<u64, std::io::Error> { Ok(17) }
///
/// let charges = Operations::new(MemoryLeases::new());
/// let key = Scope::single_tenant("charge")?.key("order-17")?;
/// let outcome = charges.run(KeyedRequest::new(key, "4200 cents"), |lease| async move {
///     // The provider is told the same key, so that asking twice is one charge.
///     let charge = charge_at_provider(lease.request().key.text()).await?;
///     Ok::<_, std::io::Error>(Answer::new(200_u16, charge.to_string()))
/// }).await?;
/// assert!(matches!(outcome, Outcome::Fresh(_)));
/// # Ok(()) }
/// ```
///
/// | setter | default |
/// |---|---|
/// | `lease` | 30 s |
/// | `store_timeout` | 2 s |
/// | `clock` | the system's |
#[derive(Clone, Debug)]
pub struct Operations<L> {
    leases: L,
    lease: Duration,
    store_timeout: Duration,
    clock: Arc<dyn Clock>,
}

/// What came of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "only an answer says that the operation was made"]
#[expect(clippy::exhaustive_enums, reason = "callers must handle both")]
pub enum Outcome {
    /// It was made now, and its answer is kept.
    Fresh(Answer),
    /// It was not made now.
    Settled(Settled),
}

/// An operation has no answer.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum OperationError<E> {
    /// The operation failed. Its key is free again.
    #[error("the operation failed: {0}")]
    Work(#[source] E),
    /// The lease could not be had, or was lost. [`Error::Unavailable`] before the operation began
    /// says that nothing was done.
    #[error(transparent)]
    Lease(#[from] Error),
}

/// How an operation's work ends.
pub(crate) enum Exit<T> {
    /// Its answer is kept.
    Keep(Answer, T),
    /// Nothing is kept, and the key is free.
    Release(T),
}

/// What came of work.
pub(crate) enum Executed<T> {
    Ran(T),
    Settled(Settled),
    /// The work panicked, and the key is free.
    Panicked(Box<dyn Any + Send>),
}

impl<L: Leases + Clone> Operations<L> {
    /// Operations under these leases.
    #[must_use]
    pub fn new(leases: L) -> Self {
        Self {
            leases,
            lease: Duration::from_secs(30),
            store_timeout: Duration::from_secs(2),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// How long a key stays blocked after its holder died; default 30 s. A living holder renews its
    /// lease at a third of it.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long one call to the store may take; default 2 s.
    #[must_use]
    pub const fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// The clock that says when a lease has ended; default: the system's, which counts the time
    /// that the host was suspended.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes the operation and keeps its answer, or says why not.
    ///
    /// # Behaviour
    /// - `work` runs in a task of its own, which a caller that goes away does not stop, and is not
    ///   polled once the lease has ended.
    /// - An answer is returned only after it was kept.
    /// - If `work` fails or panics, the key is free at once.
    ///
    /// # Errors
    /// [`OperationError::Work`] is what `work` returned. [`OperationError::Lease`]: the store did not
    /// answer, or the lease was lost; ask again with the same key.
    ///
    /// # Panics
    /// If `work` does.
    ///
    /// # Cancel safety
    /// Cancel safe: the operation goes on.
    pub async fn run<F, E>(
        &self,
        request: KeyedRequest,
        work: impl FnOnce(Lease) -> F + Send + 'static,
    ) -> Result<Outcome, OperationError<E>>
    where
        F: Future<Output = Result<Answer, E>> + Send + 'static,
        E: Send + 'static,
    {
        let work = move |lease| {
            let work = work(lease);
            async move {
                match work.await {
                    Ok(answer) => Exit::Keep(answer.clone(), Ok(answer)),
                    Err(error) => Exit::Release(Err(error)),
                }
            }
        };
        match self.execute(request, work).await? {
            Executed::Ran(Ok(answer)) => Ok(Outcome::Fresh(answer)),
            Executed::Ran(Err(error)) => Err(OperationError::Work(error)),
            Executed::Settled(settled) => Ok(Outcome::Settled(settled)),
            Executed::Panicked(panic) => resume_unwind(panic),
        }
    }

    /// As [`run`](Self::run), for work that says what is kept beside what it returns.
    pub(crate) async fn execute<F, T>(
        &self,
        request: KeyedRequest,
        work: impl FnOnce(Lease) -> F + Send + 'static,
    ) -> Result<Executed<T>, Error>
    where
        F: Future<Output = Exit<T>> + Send + 'static,
        T: Send + 'static,
    {
        let operations = self.clone();
        // Beginning, too: dropped in the middle, it would lease the key to nobody.
        let executing = async move {
            // The lease may have begun at any time since.
            let asked = operations.clock.monotonic();
            let beginning = operations.leases.begin(&request, operations.lease);
            let begun = tokio::time::timeout(operations.store_timeout, beginning).await;
            match begun.map_err(|slow| Error::Unavailable(slow.into()))?? {
                Begun::Fresh(lease) => {
                    let work = work(lease.clone());
                    Holder::new(operations.clone(), lease, asked)
                        .hold(work)
                        .await
                }
                Begun::Settled(settled) => {
                    telemetry::settled(&settled);
                    Ok(Executed::Settled(settled))
                }
            }
        };
        match tokio::spawn(executing.in_current_span()).await {
            Ok(outcome) => outcome,
            // Work that panics is told above: this is the end of the runtime.
            Err(error) => Err(Error::Unavailable(error.into())),
        }
    }
}
