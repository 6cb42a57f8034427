//! How often one client may ask (GCRA): so many requests per second, and twice as many at once.

use std::{
    fmt,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::HashMapStateStore,
};

/// Clients that have been quiet are forgotten once per this many requests.
const SWEEP: u32 = 4_096;

/// The role of whoever counts the requests of clients.
#[async_trait]
pub trait RateLimits: fmt::Debug + Send + Sync + 'static {
    /// Counts a request of `client` that costs as much as `cost` requests. Some time = it may not
    /// pass, and was not counted; it may after that time.
    ///
    /// # Errors
    /// [`Uncounted`]: nobody knows whether it may pass.
    async fn count(&self, client: &str, cost: NonZeroU32) -> Result<Option<Duration>, Uncounted>;
}

/// A request that was not counted, since the server that counts does not answer.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("the server that counts requests does not answer: {0}")]
pub struct Uncounted(String);

impl Uncounted {
    /// Says why.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// How many requests of a client this many per second allow at once.
pub(crate) const fn burst(per_second: NonZeroU32) -> NonZeroU32 {
    per_second.saturating_mul(const { NonZeroU32::new(2).unwrap() })
}

/// Counts in the memory of this process.
pub struct LocalRateLimits {
    cells: RateLimiter<String, HashMapStateStore<String>, DefaultClock>,
    clock: DefaultClock,
    counted: AtomicU32,
}

impl LocalRateLimits {
    /// Lets each client send so many requests per second.
    #[must_use]
    pub fn new(per_second: NonZeroU32) -> Self {
        let quota = Quota::per_second(per_second).allow_burst(burst(per_second));
        Self {
            cells: RateLimiter::hashmap(quota),
            clock: DefaultClock::default(),
            counted: AtomicU32::new(0),
        }
    }

    /// As [`RateLimits::count`], which here never fails.
    pub fn count_here(&self, client: &str, cost: NonZeroU32) -> Option<Duration> {
        if self.counted.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.cells.retain_recent();
        }
        match self.cells.check_key_n(&client.to_owned(), cost) {
            Ok(Ok(())) => None,
            Ok(Err(later)) => Some(later.wait_time_from(self.clock.now())),
            // A burst smaller than the cost: it never fits.
            Err(_) => Some(Duration::from_secs(1)),
        }
    }
}

#[async_trait]
impl RateLimits for LocalRateLimits {
    async fn count(&self, client: &str, cost: NonZeroU32) -> Result<Option<Duration>, Uncounted> {
        Ok(self.count_here(client, cost))
    }
}

impl fmt::Debug for LocalRateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRateLimits")
            .field("clients", &self.cells.len())
            .finish_non_exhaustive()
    }
}

/// What every implementation promises; each proves it with `of` that makes a limit of this many per
/// second.
#[cfg(test)]
pub(crate) mod contract {
    use super::*;

    fn cost(cost: u32) -> NonZeroU32 {
        NonZeroU32::new(cost).unwrap()
    }

    pub(crate) async fn holds<L: RateLimits>(of: impl AsyncFn(NonZeroU32) -> L) {
        twice_at_once_and_each_for_itself(&of(cost(5)).await).await;
        a_refusal_says_when_and_costs_nothing(&of(cost(5)).await).await;
    }

    async fn twice_at_once_and_each_for_itself(limits: &dyn RateLimits) {
        let count = async |client: &str, n: u32| limits.count(client, cost(n)).await.unwrap();
        assert_eq!(count("ada", 5).await, None);
        // Five more pass at once. However slowly the test runs, some six hundred never do.
        let (mut passed, mut refused) = (0, None);
        while refused.is_none() && passed < 600 {
            refused = count("ada", 1).await;
            passed += u32::from(refused.is_none());
        }
        assert!(refused.is_some_and(|wait| wait <= Duration::from_millis(200)));
        assert!(passed >= 5, "{passed}");
        assert_eq!(count("bob", 10).await, None, "others have their own");
        assert!(count("eve", 11).await.is_some(), "more than fits at once");
    }

    /// Who waits as long as it was told passes.
    async fn a_refusal_says_when_and_costs_nothing(limits: &dyn RateLimits) {
        let count = async |n: u32| limits.count("ada", cost(n)).await.unwrap();
        assert_eq!(count(10).await, None);
        // All is spent. If the test stands still for two seconds, one more passes, and all is spent
        // again; so what passed never costs more than two seconds, and refusals add nothing.
        let mut refused = 0;
        for _ in 0..100 {
            if let Some(wait) = count(10).await {
                assert!(wait <= Duration::from_secs(2), "{wait:?}");
                refused += 1;
            }
        }
        assert!(refused >= 20, "{refused}");
        // The clock of a server may not agree to the microsecond.
        let mut waits = 0;
        while let Some(wait) = count(10).await {
            waits += 1;
            assert!(waits <= 5, "after what it was told it is told {wait:?}");
            tokio::time::sleep(wait).await;
        }
    }

    #[tokio::test]
    async fn holds_in_memory() {
        holds(async |per_second| LocalRateLimits::new(per_second)).await;
    }
}
