//! Behind `PgBouncer` in transaction mode, where the next transaction runs in another session.

use std::time::Duration;

use async_trait::async_trait;
use mainstay_idempotency::{
    PostgresRecords,
    conformance::{Concurrent, RecordsFixture},
};
use mainstay_testkit::postgres::{Pooler, Server};
use sqlx::PgConnection;

use super::{PostgresFixture, ROLE, fixture_through};

/// The fixture, and the pooler that its service goes through.
struct Pooled {
    fixture: PostgresFixture,
    _pooler: Pooler,
}

async fn pooled() -> Option<Pooled> {
    let suite = "idempotency behind a pooler";
    let server = Server::for_suite(suite)?.database().await.unwrap();
    // A pooler ignores the connection option that selects the service's role elsewhere.
    let greeting = format!("SET ROLE {ROLE}");
    let pooler = Pooler::for_suite(suite, &server.url(), 6, &greeting).await;
    let pooler = pooler.unwrap()?;
    let url = pooler.url(server.name());
    Some(Pooled {
        fixture: fixture_through(server, &url, |database| database.transaction_pooler(true)).await,
        _pooler: pooler,
    })
}

#[async_trait]
impl RecordsFixture for Pooled {
    type Records = PostgresRecords;

    const CONCURRENT: Concurrent = Concurrent::IsToldAtOnce;

    fn records(&self) -> PostgresRecords {
        self.fixture.records()
    }

    async fn records_for(&self, lifetime: Duration) -> PostgresRecords {
        self.fixture.records_for(lifetime).await
    }

    /// Without a prepared statement that outlives its transaction.
    async fn write(
        connection: &mut PgConnection,
        effect: &str,
    ) -> Result<(), mainstay_database::Error> {
        sqlx::query("INSERT INTO effects (effect) VALUES ($1)")
            .persistent(false)
            .bind(effect)
            .execute(connection)
            .await
            .map_err(super::classify)?;
        Ok(())
    }

    async fn effects(&self) -> Vec<String> {
        self.fixture.effects().await
    }

    async fn kept(&self) -> usize {
        self.fixture.kept().await
    }
}

mainstay_idempotency::conformance!(records if_there pooled());
