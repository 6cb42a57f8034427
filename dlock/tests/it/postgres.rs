//! Leases and fences in PostgreSQL.

use async_trait::async_trait;
use mainstay_database::postgres::Database;
use mainstay_dlock::{PostgresFences, PostgresLeases, conformance::Fixture};
use mainstay_testkit::postgres::{Server, TestDatabase};

const SUITE: &str = "dlock";

struct Postgres {
    database: Database,
    leases: PostgresLeases,
    fences: PostgresFences,
    server: TestDatabase,
}

async fn fixture() -> Option<Postgres> {
    let server = Server::for_suite(SUITE)?.database().await.unwrap();
    let database = Database::connect(&server.url()).await.unwrap();
    Some(Postgres {
        leases: PostgresLeases::builder(&database).open().await.unwrap(),
        fences: PostgresFences::builder(&database).open().await.unwrap(),
        database,
        server,
    })
}

#[async_trait]
impl Fixture for Postgres {
    type Leases = PostgresLeases;
    type Database = Database;
    type Fences = PostgresFences;

    fn leases(&self) -> PostgresLeases {
        self.leases.clone()
    }

    async fn other_process(&self) -> PostgresLeases {
        let database = Database::connect(&self.server.url()).await.unwrap();
        PostgresLeases::builder(&database).open().await.unwrap()
    }

    fn database(&self) -> &Database {
        &self.database
    }

    fn fences(&self) -> PostgresFences {
        self.fences.clone()
    }
}

mainstay_dlock::conformance!(if_there fixture());
