//! Requests per client.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use axum::http::StatusCode;
use commerce_chassis::Problem;
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::HashMapStateStore,
};

/// Clients that have been quiet are forgotten once per this many requests.
const SWEEP: u32 = 4_096;

/// Whose requests are counted together.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Client {
    User(String),
    Address(IpAddr),
}

impl Client {
    /// Who has one IPv6 address has a whole /64 network of them.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << 64);
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// Lets a client send so many requests per second, and twice as many at once (GCRA).
pub(crate) struct Limiter {
    cells: RateLimiter<Client, HashMapStateStore<Client>, DefaultClock>,
    clock: DefaultClock,
    counted: AtomicU32,
}

impl Limiter {
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        let burst = per_second.saturating_mul(const { NonZeroU32::new(2).unwrap() });
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self {
            cells: RateLimiter::hashmap(quota),
            clock: DefaultClock::default(),
            counted: AtomicU32::new(0),
        }
    }

    /// Counts a request that costs as much as `cost` requests.
    pub(crate) fn count(&self, client: &Client, cost: u32) -> Result<(), Problem> {
        if self.counted.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.cells.retain_recent();
        }
        let cost = NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN);
        match self.cells.check_key_n(client, cost) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(later)) => Err(too_many(later.wait_time_from(self.clock.now()))),
            // A burst smaller than the cost: it never fits.
            Err(_) => Err(too_many(Duration::from_secs(1))),
        }
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("clients", &self.cells.len())
            .finish_non_exhaustive()
    }
}

fn too_many(wait: Duration) -> Problem {
    let seconds = wait.as_millis().div_ceil(1_000);
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX).max(1);
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-requests",
        "Too many requests",
        format!("try again in {seconds} s"),
    )
    .retry_after(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_twice_its_rate_at_once_and_others_have_their_own() {
        // So slow that no cell comes back during the test.
        let limiter = Limiter {
            cells: RateLimiter::hashmap(
                Quota::per_hour(NonZeroU32::MIN).allow_burst(NonZeroU32::new(20).unwrap()),
            ),
            clock: DefaultClock::default(),
            counted: AtomicU32::new(0),
        };
        let ada = || Client::User("ada".to_owned());
        limiter.count(&ada(), 10).unwrap();
        for _ in 0..10 {
            limiter.count(&ada(), 1).unwrap();
        }
        let refused = limiter.count(&ada(), 1).unwrap_err();
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.retry_after.unwrap() > 3_000, "{refused:?}");
        limiter.count(&Client::User("bob".to_owned()), 20).unwrap();
        limiter
            .count(&Client::at([127, 0, 0, 1].into()), 20)
            .unwrap();
        assert!(limiter.count(&Client::User("eve".to_owned()), 21).is_err());
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let at = |text: &str| Client::at(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
    }
}
