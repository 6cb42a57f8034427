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
async fn sql_errors_that_heal_count_no_attempt() {
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
    let violated = || raise("23505");
    let error = HandlerError::from(fails(&mut connection, &violated()).await);
    assert!(error.is_permanent(), "{error}");
    let error = HandlerError::retryable(fails(&mut connection, &violated()).await);
    assert!(error.counts_attempt() && !error.is_permanent(), "{error}");

    // The connection is lost in the middle of a handler.
    let end = "SELECT pg_terminate_backend(pg_backend_pid())";
    let error = HandlerError::from(fails(&mut connection, end).await);
    assert!(!error.counts_attempt(), "{error}");
    let error = HandlerError::retryable(fails(&mut connection, "SELECT 1").await);
    assert!(!error.counts_attempt(), "{error}");
}
