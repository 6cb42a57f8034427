//! Sessions and their refresh tokens.

use commerce_chassis::{Connection, Result, sql};

use crate::session::Stored;

type TokenRow = (String, i64, Option<i64>, Option<Vec<u8>>);

/// Begins a session.
pub(crate) async fn begin(
    connection: &mut Connection,
    session_id: &str,
    user_id: &str,
    expires_at: i64,
) -> Result<()> {
    sqlx::query("INSERT INTO sessions (session_id, user_id, expires_at) VALUES ($1, $2, $3)")
        .bind(session_id)
        .bind(user_id)
        .bind(expires_at)
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(())
}

/// Stores a token of a session, by its hash.
pub(crate) async fn add(
    connection: &mut Connection,
    hash: &str,
    session_id: &str,
    expires_at: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO refresh_tokens (token_hash, session_id, expires_at) VALUES ($1, $2, $3)",
    )
    .bind(hash)
    .bind(session_id)
    .bind(expires_at)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Locks and reads a token, and then its session.
pub(crate) async fn lock(connection: &mut Connection, hash: &str) -> Result<Option<Stored>> {
    let token: Option<TokenRow> = sqlx::query_as(commerce_chassis::locking!(
        "SELECT session_id, expires_at, used_at, nonce FROM refresh_tokens WHERE token_hash = $1",
        "refresh_tokens"
    ))
    .bind(hash)
    .fetch_optional(&mut *connection)
    .await
    .map_err(sql)?;
    let Some((session_id, expires_at, used_at, nonce)) = token else {
        return Ok(None);
    };
    let (user_id, session_ends_at, revoked_at): (String, i64, Option<i64>) =
        sqlx::query_as(commerce_chassis::locking!(
            "SELECT user_id, expires_at, revoked_at FROM sessions WHERE session_id = $1",
            "sessions"
        ))
        .bind(&session_id)
        .fetch_one(connection)
        .await
        .map_err(sql)?;
    Ok(Some(Stored {
        session_id,
        user_id,
        expires_at,
        used: used_at.zip(nonce),
        session_ends_at,
        session_revoked: revoked_at.is_some(),
    }))
}

/// Records the use of a token, which this transaction has locked.
pub(crate) async fn mark_used(
    connection: &mut Connection,
    hash: &str,
    now: i64,
    nonce: &[u8],
) -> Result<()> {
    sqlx::query("UPDATE refresh_tokens SET used_at = $2, nonce = $3 WHERE token_hash = $1")
        .bind(hash)
        .bind(now)
        .bind(nonce)
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(())
}

/// Ends a session, with all of its tokens.
pub(crate) async fn revoke(connection: &mut Connection, session_id: &str, now: i64) -> Result<()> {
    sqlx::query("UPDATE sessions SET revoked_at = $2 WHERE session_id = $1 AND revoked_at IS NULL")
        .bind(session_id)
        .bind(now)
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(())
}
