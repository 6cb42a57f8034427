//! Leases in Redis.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod server;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::Namespace;
use mainstay_idempotency::{
    RedisLeases,
    clock::{Clock, SystemClock},
    conformance::LeasesFixture,
};
use mainstay_testkit::redis::Server;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};

pub(crate) struct RedisFixture {
    pub(crate) connection: ConnectionManager,
    namespace: Namespace,
}

/// `None` if there is no server.
pub(crate) async fn fixture() -> Option<RedisFixture> {
    let server = Server::for_suite("idempotency")?;
    Some(RedisFixture {
        connection: connect(server.url()).await,
        namespace: Namespace::prefixed(&server.prefix()).unwrap(),
    })
}

pub(crate) async fn connect(url: &str) -> ConnectionManager {
    let client = redis::Client::open(url).unwrap();
    // The host may be busy.
    let patient =
        ConnectionManagerConfig::new().set_response_timeout(Some(Duration::from_secs(60)));
    client
        .get_connection_manager_with_config(patient)
        .await
        .unwrap()
}

/// Microseconds of the server's clock.
async fn time(connection: &mut ConnectionManager) -> u64 {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(connection).await.unwrap();
    seconds * 1_000_000 + micros
}

#[async_trait]
impl LeasesFixture for RedisFixture {
    type Leases = RedisLeases;

    async fn leases(&self) -> RedisLeases {
        self.leases_for(Duration::from_secs(24 * 3600)).await
    }

    async fn leases_for(&self, lifetime: Duration) -> RedisLeases {
        let leases = RedisLeases::builder(self.connection.clone());
        leases
            .namespace(self.namespace.clone())
            .lifetime(lifetime)
            .open()
            .await
            .unwrap()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock::new())
    }

    async fn pass(&self, by: Duration) {
        let mut connection = self.connection.clone();
        let until = time(&mut connection).await + u64::try_from(by.as_micros()).unwrap();
        while time(&mut connection).await <= until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

mainstay_idempotency::conformance!(leases if_there fixture());
