//! Signing keys.

use commerce_chassis::{Connection, Error, Result, SigningKey, sql};

use crate::rotation::{Life, State};

type Row = (String, Vec<u8>, String, i64);

/// Locks and reads all keys.
pub(crate) async fn lock(connection: &mut Connection) -> Result<Vec<(Life, SigningKey)>> {
    let rows: Vec<Row> = sqlx::query_as(commerce_chassis::locking!(
        "SELECT kid, seed, state, since FROM signing_keys ORDER BY kid",
        "signing_keys"
    ))
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    rows.into_iter().map(read).collect()
}

fn read((kid, seed, state, since): Row) -> Result<(Life, SigningKey)> {
    let damaged = || Error::damaged("a stored signing key", format!("key {kid}"));
    let seed: [u8; 32] = seed.try_into().map_err(|_| damaged())?;
    let state = State::from_name(&state).ok_or_else(damaged)?;
    let key = SigningKey::new(kid.clone(), &seed);
    Ok((Life { kid, state, since }, key))
}

/// Inserts a key, unless another process has just inserted one of the same state.
pub(crate) async fn insert(
    connection: &mut Connection,
    kid: &str,
    seed: &[u8],
    state: State,
    now: i64,
) -> Result<()> {
    sqlx::query("INSERT INTO signing_keys (kid, seed, state, since) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
        .bind(kid)
        .bind(seed)
        .bind(state.name())
        .bind(now)
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(())
}

/// Moves a key, which this transaction has locked.
pub(crate) async fn enter(
    connection: &mut Connection,
    kid: &str,
    state: State,
    now: i64,
) -> Result<()> {
    sqlx::query("UPDATE signing_keys SET state = $2, since = $3 WHERE kid = $1")
        .bind(kid)
        .bind(state.name())
        .bind(now)
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(())
}

/// Deletes a key, which this transaction has locked.
pub(crate) async fn delete(connection: &mut Connection, kid: &str) -> Result<()> {
    sqlx::query("DELETE FROM signing_keys WHERE kid = $1")
        .bind(kid)
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(())
}
