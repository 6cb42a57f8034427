//! Leases and fences in a SQLite file.

use async_trait::async_trait;
use mainstay_database::sqlite::Database;
use mainstay_dlock::{SqliteFences, SqliteLeases, conformance::Fixture};

struct Sqlite {
    database: Database,
    leases: SqliteLeases,
    fences: SqliteFences,
    _directory: tempfile::TempDir,
}

async fn fixture() -> Sqlite {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("locks.db"));
    let database = database.await.unwrap();
    Sqlite {
        leases: SqliteLeases::builder(&database).open().await.unwrap(),
        fences: SqliteFences::builder(&database).open().await.unwrap(),
        database,
        _directory: directory,
    }
}

#[async_trait]
impl Fixture for Sqlite {
    type Leases = SqliteLeases;
    type Database = Database;
    type Fences = SqliteFences;

    fn leases(&self) -> SqliteLeases {
        self.leases.clone()
    }

    async fn other_process(&self) -> SqliteLeases {
        let database = Database::open(self.database.path()).await.unwrap();
        SqliteLeases::builder(&database).open().await.unwrap()
    }

    fn database(&self) -> &Database {
        &self.database
    }

    fn fences(&self) -> SqliteFences {
        self.fences.clone()
    }

    fn renews_beside_transactions(&self) -> bool {
        false
    }
}

mainstay_dlock::conformance!(fixture());
