//! Behind `PgBouncer` in transaction mode, where the next transaction runs in another session.

use async_trait::async_trait;
use mainstay_eventstore::{PostgresEventStore, conformance::Fixture, store::StoredEvent};
use mainstay_testkit::postgres::{Pooler, Server};
use sqlx::PgConnection;

use super::{PostgresFixture, ROLE, fixture_through};

/// The fixture, and the pooler that its service goes through.
struct Pooled {
    fixture: PostgresFixture,
    _pooler: Pooler,
}

async fn pooled() -> Option<Pooled> {
    let suite = "eventstore behind a pooler";
    let server = Server::for_suite(suite)?.database().await.unwrap();
    // A pooler ignores the connection option that selects the service's role elsewhere.
    let greeting = format!("SET ROLE {ROLE}");
    let pooler = Pooler::for_suite(suite, &server.url(), 10, &greeting).await;
    let pooler = pooler.unwrap()?;
    let url = pooler.url(server.name());
    Some(Pooled {
        fixture: fixture_through(server, &url, |database| database.transaction_pooler(true)).await,
        _pooler: pooler,
    })
}

#[async_trait]
impl Fixture for Pooled {
    type Store = PostgresEventStore;

    fn store(&self) -> &PostgresEventStore {
        self.fixture.store()
    }

    async fn put(&self, stream: &str, event: StoredEvent) {
        self.fixture.put(stream, event).await;
    }

    async fn write(
        connection: &mut PgConnection,
        row: &str,
    ) -> Result<(), mainstay_database::Error> {
        PostgresFixture::write(connection, row).await
    }

    async fn clear(connection: &mut PgConnection) -> Result<(), mainstay_database::Error> {
        PostgresFixture::clear(connection).await
    }

    async fn rows(&self) -> Vec<String> {
        self.fixture.rows().await
    }

    async fn until_one_waits(&self) {
        self.fixture.until_one_waits().await;
    }
}

mainstay_eventstore::conformance!(if_there pooled());
