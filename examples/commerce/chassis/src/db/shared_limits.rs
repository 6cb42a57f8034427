//! Counts the requests of clients in Redis, for all processes of a deployment together.

use std::{fmt, num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use mainstay_idempotency::redis::{
    Client, ConnectionManager,
    driver::{RedisError, Script, aio::ConnectionManagerConfig},
};

use crate::{
    RateLimits,
    rate_limit::{Uncounted, burst},
};

/// Longer than Redis takes, and shorter than a client notices.
const DEADLINE: Duration = Duration::from_millis(200);

/// One script per request, in one round trip, by the clock of the server.
pub(crate) struct SharedRateLimits {
    connection: ConnectionManager,
    script: Script,
    prefix: String,
    per_second: NonZeroU32,
    deadline: Duration,
}

impl SharedRateLimits {
    /// Connects with the first request; keys begin with `prefix`.
    pub(crate) fn new(
        client: &Client,
        prefix: &str,
        per_second: NonZeroU32,
    ) -> Result<Self, RedisError> {
        Self::within(client, prefix, per_second, DEADLINE)
    }

    fn within(
        client: &Client,
        prefix: &str,
        per_second: NonZeroU32,
        deadline: Duration,
    ) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(deadline))
            .set_response_timeout(Some(deadline));
        Ok(Self {
            connection: client.get_connection_manager_lazy(config)?,
            script: Script::new(include_str!("shared_limits.lua")),
            prefix: format!("{prefix}rate:"),
            per_second,
            deadline,
        })
    }

    async fn wait(&self, client: &str, cost: NonZeroU32) -> Result<u64, RedisError> {
        let micros_each = 1e6 / f64::from(self.per_second.get());
        let mut call = self.script.key(format!("{}{client}", self.prefix));
        call.arg(micros_each)
            .arg(burst(self.per_second).get())
            .arg(cost.get());
        call.invoke_async(&mut self.connection.clone()).await
    }
}

#[async_trait]
impl RateLimits for SharedRateLimits {
    async fn count(&self, client: &str, cost: NonZeroU32) -> Result<Option<Duration>, Uncounted> {
        let wait = tokio::time::timeout(self.deadline, self.wait(client, cost)).await;
        let wait = wait.map_err(|_| Uncounted::new("no answer in time"))?;
        let micros = wait.map_err(|error| Uncounted::new(error.to_string()))?;
        Ok((micros > 0).then(|| Duration::from_micros(micros)))
    }
}

impl fmt::Debug for SharedRateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRateLimits")
            .field("prefix", &self.prefix)
            .field("per_second", &self.per_second)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use mainstay_testkit::redis::Server;

    use super::*;
    use crate::rate_limit::contract;

    /// The host may be busy.
    const PATIENT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn the_contract_holds_in_redis() {
        let Some(server) = Server::for_suite("commerce") else {
            return;
        };
        let client = Client::open(server.url()).unwrap();
        let of = async |per_second| {
            SharedRateLimits::within(&client, &server.prefix(), per_second, PATIENT).unwrap()
        };
        contract::holds(of).await;
    }

    #[tokio::test]
    async fn two_processes_count_together() {
        let Some(server) = Server::for_suite("commerce") else {
            return;
        };
        let (client, prefix) = (Client::open(server.url()).unwrap(), server.prefix());
        let per_second = NonZeroU32::new(5).unwrap();
        let process = || SharedRateLimits::within(&client, &prefix, per_second, PATIENT).unwrap();
        let all = NonZeroU32::new(10).unwrap();
        assert_eq!(process().count("ada", all).await, Ok(None));
        assert!(process().count("ada", all).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_server_that_is_away_counts_nothing() {
        let client = Client::open("redis://127.0.0.1:1").unwrap();
        let per_second = NonZeroU32::new(5).unwrap();
        let away = SharedRateLimits::new(&client, "t_", per_second).unwrap();
        assert!(away.count("ada", NonZeroU32::MIN).await.is_err());
    }
}
