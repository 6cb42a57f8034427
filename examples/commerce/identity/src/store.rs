//! The tables of the identity service.

pub(crate) mod keys;
pub(crate) mod sessions;

use commerce_chassis::{Connection, Error, Result, sql};
use commerce_contracts::UserStatus;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::Row as _;

use crate::{lockout, password::Stored, session::after, user::User};

const COLUMNS_OF: &str = "a stored user";

/// Inserts a user; false = the id or the e-mail address is taken. No hash = the seeds' password.
pub(crate) async fn insert(
    connection: &mut Connection,
    user: &User,
    password_hash: Option<&str>,
) -> Result<bool> {
    let inserted = sqlx::query(
        "INSERT INTO users (user_id, email, phone, display_name, locale, roles, channel_prefs, status, password_hash, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
    )
    .bind(&user.id)
    .bind(&user.email)
    .bind(&user.phone)
    .bind(&user.display_name)
    .bind(&user.locale)
    .bind(json(&user.roles)?)
    .bind(json(&user.channels)?)
    .bind(status_name(user.status))
    .bind(password_hash)
    .bind(user.version)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(inserted.rows_affected() == 1)
}

/// Reads a user.
pub(crate) async fn find(connection: &mut Connection, id: &str) -> Result<Option<User>> {
    let row = sqlx::query("SELECT user_id, email, phone, display_name, locale, roles, channel_prefs, status, version FROM users WHERE user_id = $1")
        .bind(id)
        .fetch_optional(connection)
        .await
        .map_err(sql)?;
    row.map(|row| read(&row)).transpose()
}

/// Locks and reads a user.
pub(crate) async fn lock(connection: &mut Connection, id: &str) -> Result<Option<User>> {
    let row = sqlx::query(commerce_chassis::locking!(
        "SELECT user_id, email, phone, display_name, locale, roles, channel_prefs, status, version FROM users WHERE user_id = $1",
        "users"
    ))
    .bind(id)
    .fetch_optional(connection)
    .await
    .map_err(sql)?;
    row.map(|row| read(&row)).transpose()
}

/// The id and the password of the active user with an e-mail address.
pub(crate) async fn credentials(
    connection: &mut Connection,
    email: &str,
) -> Result<(Option<String>, Stored)> {
    let row: Option<(String, Option<String>)> = sqlx::query_as(
        "SELECT user_id, password_hash FROM users WHERE email = $1 AND status = 'active'",
    )
    .bind(email)
    .fetch_optional(connection)
    .await
    .map_err(sql)?;
    Ok(match row {
        None => (None, Stored::Unknown),
        Some((id, None)) => (Some(id), Stored::Seed),
        Some((id, Some(hash))) => (Some(id), Stored::Own(hash)),
    })
}

/// Writes the roles and the version of a user, whom this transaction has locked.
pub(crate) async fn update_roles(connection: &mut Connection, user: &User) -> Result<()> {
    sqlx::query("UPDATE users SET roles = $2, version = $3 WHERE user_id = $1")
        .bind(&user.id)
        .bind(json(&user.roles)?)
        .bind(user.version)
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(())
}

/// Counts an attempt to log in as a failure, before its password is checked: attempts in parallel
/// are all counted. Some = the login is locked until then, and the attempt is not counted.
pub(crate) async fn attempt(
    connection: &mut Connection,
    email: &str,
    now: i64,
) -> Result<Option<i64>> {
    let (failures, locked_until): (i64, i64) = sqlx::query_as(
        "INSERT INTO login_attempts AS known (email, failures, locked_until, last_at) VALUES ($1, 1, 0, $2)
         ON CONFLICT (email) DO UPDATE SET
             failures = CASE WHEN known.locked_until > $2 THEN known.failures WHEN known.last_at < $3 THEN 1 ELSE known.failures + 1 END,
             last_at = CASE WHEN known.locked_until > $2 THEN known.last_at ELSE $2 END
         RETURNING failures, locked_until",
    )
    .bind(email)
    .bind(now)
    .bind(now.saturating_sub(after(0, lockout::FORGOTTEN)))
    .fetch_one(&mut *connection)
    .await
    .map_err(sql)?;
    if locked_until > now {
        return Ok(Some(locked_until));
    }
    if let Some(lock) = lockout::lock(failures) {
        sqlx::query("UPDATE login_attempts SET locked_until = $2 WHERE email = $1")
            .bind(email)
            .bind(after(now, lock))
            .execute(connection)
            .await
            .map_err(sql)?;
    }
    Ok(None)
}

/// Forgets the failures of a login that succeeded.
pub(crate) async fn forgive(connection: &mut Connection, email: &str) -> Result<()> {
    sqlx::query("DELETE FROM login_attempts WHERE email = $1")
        .bind(email)
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(())
}

/// Deletes what is over: failures that count no more, and sessions and tokens that ended.
pub(crate) async fn sweep(connection: &mut Connection, now: i64) -> Result<()> {
    let forgotten = now.saturating_sub(after(0, lockout::FORGOTTEN));
    for (statement, before) in [
        (
            "DELETE FROM login_attempts WHERE last_at < $1 AND locked_until < $1",
            forgotten,
        ),
        (
            "DELETE FROM refresh_tokens WHERE session_id IN (SELECT session_id FROM sessions WHERE expires_at < $1)",
            now,
        ),
        ("DELETE FROM sessions WHERE expires_at < $1", now),
    ] {
        sqlx::query(statement)
            .bind(before)
            .execute(&mut *connection)
            .await
            .map_err(sql)?;
    }
    Ok(())
}

fn read(row: &<Database as sqlx::Database>::Row) -> Result<User> {
    let text = |name| row.try_get::<String, _>(name).map_err(sql);
    let status = text("status")?;
    Ok(User {
        id: text("user_id")?,
        email: text("email")?,
        phone: row.try_get("phone").map_err(sql)?,
        display_name: text("display_name")?,
        locale: text("locale")?,
        roles: parse(&text("roles")?)?,
        channels: parse(&text("channel_prefs")?)?,
        status: if status == status_name(UserStatus::Active) {
            UserStatus::Active
        } else {
            UserStatus::Disabled
        },
        version: row.try_get("version").map_err(sql)?,
    })
}

type Database = <Connection as sqlx::Connection>::Database;

const fn status_name(status: UserStatus) -> &'static str {
    match status {
        UserStatus::Active => "active",
        UserStatus::Disabled => "disabled",
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::damaged(COLUMNS_OF, error))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::damaged(COLUMNS_OF, error))
}
