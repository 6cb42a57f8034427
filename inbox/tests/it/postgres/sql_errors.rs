//! SQL errors of handlers.

use mainstay_inbox::HandlerError;
use sqlx::{AssertSqlSafe, PgConnection};

use super::fixture;

async fn fails(connection: &mut PgConnection, sql: &str) -> sqlx::Error {
    let failing = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection);
    failing.await.unwrap_err()
}

/// An error of a user's own around the driver's.
#[derive(thiserror::Error, Debug)]
#[error("the order was not billed")]
struct NotBilled(#[from] sqlx::Error);

#[tokio::test]
async fn only_sql_errors_that_heal_by_themselves_count_no_attempt() {
    let Some(f) = fixture().await else { return };
    let raise = |code: &str| {
        format!("DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{code}'; END $$")
    };
    let mut connection = f.owner.acquire().await.unwrap();
    for code in ["40001", "40P01", "55P03", "57P03", "53100"] {
        for error in [
            HandlerError::from(fails(&mut connection, &raise(code)).await),
            HandlerError::retryable(fails(&mut connection, &raise(code)).await),
            HandlerError::from(NotBilled(fails(&mut connection, &raise(code)).await)),
        ] {
            assert!(
                !error.counts_attempt() && !error.is_permanent(),
                "{code}: {error}"
            );
        }
    }
    // The row that a foreign key needs may come with a message of another key; a missing table may
    // come with a migration.
    for code in ["23503", "23505", "42P01", "XX001"] {
        let error = HandlerError::from(fails(&mut connection, &raise(code)).await);
        assert!(
            error.counts_attempt() && !error.is_permanent(),
            "{code}: {error}"
        );
    }

    // The connection is lost in the middle of a handler.
    let end = "SELECT pg_terminate_backend(pg_backend_pid())";
    let error = HandlerError::from(fails(&mut connection, end).await);
    assert!(!error.counts_attempt(), "{error}");
    let error = HandlerError::retryable(fails(&mut connection, "SELECT 1").await);
    assert!(!error.counts_attempt(), "{error}");
}
