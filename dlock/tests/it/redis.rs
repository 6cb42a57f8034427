//! Leases in Redis, beside fences in memory.

use async_trait::async_trait;
use mainstay_database::{Namespace, memory::Database};
use mainstay_dlock::{
    MemoryFences, RedisLeases,
    conformance::Fixture,
    redis::{Client, ConnectionManager},
};
use mainstay_testkit::redis::Server;

const SUITE: &str = "dlock";

async fn connection(url: &str) -> ConnectionManager {
    let client = Client::open(url).unwrap();
    client.get_connection_manager().await.unwrap()
}

struct Redis {
    server: Server,
    namespace: Namespace,
    leases: RedisLeases,
    database: Database,
    fences: MemoryFences,
}

async fn open(server: &Server, namespace: &Namespace) -> RedisLeases {
    let connection = connection(server.url()).await;
    let builder = RedisLeases::builder(connection).namespace(namespace.clone());
    builder.open().await.unwrap()
}

async fn fixture() -> Option<Redis> {
    let server = Server::for_suite(SUITE)?;
    let namespace = Namespace::prefixed(&server.prefix()).unwrap();
    let database = Database::new();
    Some(Redis {
        leases: open(&server, &namespace).await,
        fences: MemoryFences::builder(&database).open().await.unwrap(),
        database,
        server,
        namespace,
    })
}

#[async_trait]
impl Fixture for Redis {
    type Leases = RedisLeases;
    type Database = Database;
    type Fences = MemoryFences;

    fn leases(&self) -> RedisLeases {
        self.leases.clone()
    }

    async fn other_process(&self) -> RedisLeases {
        open(&self.server, &self.namespace).await
    }

    fn database(&self) -> &Database {
        &self.database
    }

    fn fences(&self) -> MemoryFences {
        self.fences.clone()
    }
}

mainstay_dlock::conformance!(if_there fixture());
