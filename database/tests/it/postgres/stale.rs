//! Prepared statements that the server no longer runs: the schema changed, or the session forgot them.

use mainstay_database::ErrorKind;
use sqlx::{Connection as _, PgPool, postgres::PgPoolOptions};

use super::*;

const CONNECTIONS: u32 = 3;

/// What makes every prepared statement on the table stale.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// The type of a column: 0A000 at the next run.
    ColumnType,
    /// The session drops them, as `DISCARD ALL` of a pooler does: 26000 at the next run.
    Session,
}

async fn read(tx: &mut PgConnection) -> Result<i32, sqlx::Error> {
    let row = sqlx::query("SELECT value FROM number WHERE key = $1").bind(1_i64);
    let row = row.fetch_one(tx).await?;
    Ok(sqlx::Row::try_get::<i32, _>(&row, 0).unwrap_or_default())
}

/// On all connections at once.
async fn read_on_all(database: &Database) {
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut tx = database.begin().await.unwrap();
        read(&mut tx).await.unwrap();
        open.push(tx);
    }
    for tx in open {
        database.commit(tx).await.unwrap();
    }
}

async fn make_stale(database: &Database, server: &TestDatabase, change: Change) {
    match change {
        Change::ColumnType => {
            let mut another = PgConnection::connect_with(&server.options()).await.unwrap();
            let alter = "ALTER TABLE number ALTER COLUMN value TYPE integer";
            sqlx::query(alter).execute(&mut another).await.unwrap();
        }
        Change::Session => {
            let mut open = Vec::new();
            for _ in 0..CONNECTIONS {
                let mut tx = database.begin().await.unwrap();
                let forget = sqlx::raw_sql("DEALLOCATE ALL").execute(&mut *tx);
                forget.await.unwrap();
                open.push(tx);
            }
        }
    }
}

async fn databases(server: &TestDatabase) -> [(&'static str, Database); 2] {
    let own = Database::builder(server.url()).max_connections(CONNECTIONS);
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
    let pool: PgPool = pool.connect_with(server.options()).await.unwrap();
    [
        ("a pool of its own", own.open().await.unwrap()),
        ("a pool that exists", Database::from(pool)),
    ]
}

/// One after the other, as an engine tries again. No connection fails twice.
#[tokio::test]
async fn a_stale_statement_is_prepared_again() {
    for change in [Change::ColumnType, Change::Session] {
        let Some((owner, server)) = database().await else {
            return;
        };
        let mut tx = owner.begin().await.unwrap();
        insert(&mut tx, 1, 7).await.unwrap();
        owner.commit(tx).await.unwrap();
        for (which, database) in databases(&server).await {
            let told = format!("{change:?} on {which}");
            if matches!(change, Change::ColumnType) {
                let mut tx = owner.begin().await.unwrap();
                let back = "ALTER TABLE number ALTER COLUMN value TYPE bigint";
                sqlx::query(back).execute(&mut *tx).await.unwrap();
                owner.commit(tx).await.unwrap();
            }
            read_on_all(&database).await;
            make_stale(&database, &server, change).await;
            let (mut failed, mut succeeded) = (0, 0);
            while succeeded < 2 * CONNECTIONS {
                let mut tx = database.begin().await.unwrap();
                match read(&mut tx).await {
                    Ok(_) => {
                        database.commit(tx).await.unwrap();
                        succeeded += 1;
                    }
                    Err(error) => {
                        assert_eq!(
                            ErrorKind::of(&error),
                            Some(ErrorKind::Conflict),
                            "{told}: {error}"
                        );
                        let error = classify(error);
                        assert!(error.is_retryable(), "{told}: {error:?}");
                        failed += 1;
                    }
                }
                assert!(failed <= CONNECTIONS, "{told}: it does not heal");
            }
            assert!(failed > 0, "{told}: nothing was stale");
        }
    }
}

/// A statement of the user's own that was never prepared is not the driver's, and does not heal.
#[tokio::test]
async fn a_name_that_was_never_prepared_is_final() {
    let Some((database, _server)) = database().await else {
        return;
    };
    let mut tx = database.begin().await.unwrap();
    let execute = sqlx::raw_sql("EXECUTE nothing").execute(&mut *tx).await;
    let error = execute.map_err(classify).unwrap_err();
    assert!(matches!(error, Error::Failed(_)), "{error:?}");
    drop(tx);
    let mut tx = database.begin().await.unwrap();
    // 0A000 as well.
    let unsupported = sqlx::raw_sql("(SELECT key, value FROM number UNION SELECT 1, 2) FOR UPDATE");
    let refused = unsupported.execute(&mut *tx).await.unwrap_err();
    let code = refused
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    assert_eq!(code.as_deref(), Some("0A000"), "{refused:?}");
    let error = classify(refused);
    assert!(matches!(error, Error::Failed(_)), "{error:?}");
}
