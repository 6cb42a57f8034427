//! Requests per client.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use commerce_chassis::{LocalRateLimits, Problem, RateLimits};

/// How long a server that does not answer is left alone.
const REST: Duration = Duration::from_secs(1);

/// Whose requests are counted together.
#[derive(Clone, PartialEq, Eq, Debug)]
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

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Address(address) => write!(f, "address:{address}"),
        }
    }
}

/// Lets a client send so many requests per second, and twice as many at once.
#[derive(Debug)]
pub(crate) struct Limiter {
    local: LocalRateLimits,
    shared: Option<Shared>,
}

/// Counts for all gateways together, while its server answers.
#[derive(Debug)]
struct Shared {
    limits: Arc<dyn RateLimits>,
    rests: Arc<AtomicBool>,
}

impl Limiter {
    pub(crate) fn new(per_second: NonZeroU32, shared: Option<Arc<dyn RateLimits>>) -> Self {
        let rests = Arc::default();
        Self {
            local: LocalRateLimits::new(per_second),
            shared: shared.map(|limits| Shared { limits, rests }),
        }
    }

    /// Counts a request that costs as much as `cost` requests.
    pub(crate) async fn count(&self, client: &Client, cost: u32) -> Result<(), Problem> {
        let (client, cost) = (client.to_string(), NonZeroU32::new(cost));
        let cost = cost.unwrap_or(NonZeroU32::MIN);
        let counted = match &self.shared {
            Some(shared) => shared.count(&client, cost).await,
            None => None,
        };
        let wait = counted.unwrap_or_else(|| self.local.count_here(&client, cost));
        wait.map_or(Ok(()), |wait| Err(too_many(wait)))
    }
}

impl Shared {
    /// None = nobody counted.
    async fn count(&self, client: &str, cost: NonZeroU32) -> Option<Option<Duration>> {
        if self.rests.load(Ordering::Relaxed) {
            return None;
        }
        match self.limits.count(client, cost).await {
            Ok(wait) => Some(wait),
            Err(error) => {
                if !self.rests.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "requests are counted by this process alone for a while");
                    let rests = Arc::clone(&self.rests);
                    tokio::spawn(async move {
                        tokio::time::sleep(REST).await;
                        rests.store(false, Ordering::Relaxed);
                    });
                }
                None
            }
        }
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
    use std::sync::atomic::AtomicU32;

    use async_trait::async_trait;
    use commerce_chassis::Uncounted;

    use super::*;

    /// Allows one request of a client and answers while it is there.
    #[derive(Debug, Default)]
    struct Server {
        away: AtomicBool,
        asked: AtomicU32,
    }

    #[async_trait]
    impl RateLimits for Server {
        async fn count(&self, _: &str, _: NonZeroU32) -> Result<Option<Duration>, Uncounted> {
            let asked = self.asked.fetch_add(1, Ordering::Relaxed);
            if self.away.load(Ordering::Relaxed) {
                return Err(Uncounted::new("away"));
            }
            Ok((asked > 0).then_some(Duration::from_millis(2_100)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_shared_limit_counts_and_while_its_server_is_away_the_local_one() {
        let server = Arc::new(Server::default());
        let shared: Arc<dyn RateLimits> = Arc::clone(&server) as _;
        let limiter = Limiter::new(NonZeroU32::new(1_000).unwrap(), Some(shared));
        let ada = Client::User("ada".to_owned());
        limiter.count(&ada, 1).await.unwrap();
        let refused = limiter.count(&ada, 1).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.retry_after, Some(3));

        server.away.store(true, Ordering::Relaxed);
        limiter.count(&ada, 1).await.unwrap();
        let asked = server.asked.load(Ordering::Relaxed);
        // Left alone for a while: a request does not wait for it.
        let refused = limiter.count(&ada, 3_000).await.unwrap_err();
        assert_eq!(refused.retry_after, Some(1));
        assert_eq!(server.asked.load(Ordering::Relaxed), asked);

        server.away.store(false, Ordering::Relaxed);
        tokio::time::sleep(REST * 2).await;
        let refused = limiter.count(&ada, 1).await.unwrap_err();
        assert_eq!(refused.retry_after, Some(3));
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
