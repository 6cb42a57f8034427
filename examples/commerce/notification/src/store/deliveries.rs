//! Notifications as the sender and clients see them.

use commerce_chassis::{Connection, Error, Pool, Result, sql};
use commerce_contracts::Channel;
use sqlx::{FromRow, QueryBuilder, Row as _};

use crate::contact;

type Driver = <Connection as sqlx::Connection>::Database;
type Row = <Driver as sqlx::Database>::Row;

/// A notification that is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Due {
    pub(crate) event_id: String,
    pub(crate) channel: Channel,
    pub(crate) delivery: i64,
    pub(crate) attempts: i64,
    pub(crate) recipient: String,
    pub(crate) subject: String,
    pub(crate) body: String,
}

/// When the next notification falls due.
pub(crate) async fn next_due(reader: &Pool) -> Result<Option<i64>> {
    sqlx::query_scalar("SELECT min(due_at) FROM notifications WHERE due_at IS NOT NULL")
        .fetch_one(reader)
        .await
        .map_err(sql)
}

/// Notifications that are due at `now`.
pub(crate) async fn due(reader: &Pool, now: i64, limit: i64) -> Result<Vec<Due>> {
    let rows = sqlx::query(
        "SELECT event_id, channel, delivery, attempts, recipient, subject, body FROM notifications WHERE due_at <= $1 ORDER BY due_at LIMIT $2 + 0",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(reader)
    .await
    .map_err(sql)?;
    rows.iter().map(read_due).collect()
}

fn read_due(row: &Row) -> Result<Due> {
    Ok(Due {
        event_id: row.try_get("event_id").map_err(sql)?,
        channel: channel(row.try_get("channel").map_err(sql)?)?,
        delivery: row.try_get("delivery").map_err(sql)?,
        attempts: row.try_get("attempts").map_err(sql)?,
        recipient: row.try_get("recipient").map_err(sql)?,
        subject: row.try_get("subject").map_err(sql)?,
        body: row.try_get("body").map_err(sql)?,
    })
}

fn channel(name: &str) -> Result<Channel> {
    contact::channel(name)
        .ok_or_else(|| Error::damaged("a notification", format!("channel {name:?}")))
}

/// Records that the sink took these. A delivery that was asked for meanwhile stays due.
pub(crate) async fn sent(connection: &mut Connection, sent: &[Due], now: i64) -> Result<()> {
    if sent.is_empty() {
        return Ok(());
    }
    let mut update =
        QueryBuilder::<Driver>::new("UPDATE notifications SET error = NULL, sent_at = ");
    update.push_bind(now);
    update.push(", due_at = NULL WHERE (event_id, channel, delivery) IN (");
    update.push_values(sent, |mut row, due| {
        row.push_bind(due.event_id.clone())
            .push_bind(contact::name(due.channel))
            .push_bind(due.delivery);
    });
    update.push(")");
    let update = update.build().persistent(false);
    update.execute(connection).await.map_err(sql)?;
    Ok(())
}

/// Records a failed attempt. `again_at`: none = the recipient was refused for good.
pub(crate) async fn failed(
    connection: &mut Connection,
    due: &Due,
    again_at: Option<i64>,
    error: &str,
) -> Result<()> {
    sqlx::query(
        "UPDATE notifications SET attempts = attempts + 1, error = $4, due_at = $5 WHERE event_id = $1 AND channel = $2 AND delivery = $3",
    )
    .bind(&due.event_id)
    .bind(contact::name(due.channel))
    .bind(due.delivery)
    .bind(error)
    .bind(again_at)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// A notification as clients see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Notification {
    pub(crate) event_id: String,
    pub(crate) channel: String,
    pub(crate) user_id: String,
    pub(crate) order_id: String,
    pub(crate) news: String,
    pub(crate) recipient: String,
    pub(crate) subject: String,
    pub(crate) created_at: i64,
    pub(crate) delivery: i64,
    pub(crate) is_due: bool,
    pub(crate) sent_at: Option<i64>,
    pub(crate) error: Option<String>,
}

impl<'r> FromRow<'r, Row> for Notification {
    fn from_row(row: &'r Row) -> std::result::Result<Self, sqlx::Error> {
        Ok(Self {
            event_id: row.try_get("event_id")?,
            channel: row.try_get("channel")?,
            user_id: row.try_get("user_id")?,
            order_id: row.try_get("order_id")?,
            news: row.try_get("news")?,
            recipient: row.try_get("recipient")?,
            subject: row.try_get("subject")?,
            created_at: row.try_get("created_at")?,
            delivery: row.try_get("delivery")?,
            is_due: row.try_get::<Option<i64>, _>("due_at")?.is_some(),
            sent_at: row.try_get("sent_at")?,
            error: row.try_get("error")?,
        })
    }
}

/// A user's notifications behind an event and channel, the newest event first.
pub(crate) async fn of_user(
    reader: &Pool,
    user_id: &str,
    order_id: Option<&str>,
    before: Option<(&str, &str)>,
    limit: i64,
) -> Result<Vec<Notification>> {
    sqlx::query_as(
        "SELECT event_id, channel, user_id, order_id, news, recipient, subject, created_at, delivery, due_at, sent_at, error
         FROM notifications
         WHERE user_id = $1 AND ($2 IS NULL OR order_id = $2)
             AND ($3 IS NULL OR event_id < $3 OR (event_id = $3 AND channel > $4))
         ORDER BY event_id DESC, channel LIMIT $5 + 0",
    )
    .bind(user_id)
    .bind(order_id)
    .bind(before.map(|(event_id, _)| event_id))
    .bind(before.map(|(_, channel)| channel))
    .bind(limit)
    .fetch_all(reader)
    .await
    .map_err(sql)
}

/// One notification, with its text.
pub(crate) async fn find(
    reader: &Pool,
    event_id: &str,
    channel: &str,
) -> Result<Option<(Notification, String)>> {
    let row = sqlx::query(
        "SELECT event_id, channel, user_id, order_id, news, recipient, subject, created_at, delivery, due_at, sent_at, error, body
         FROM notifications WHERE event_id = $1 AND channel = $2",
    )
    .bind(event_id)
    .bind(channel)
    .fetch_optional(reader)
    .await
    .map_err(sql)?;
    let Some(row) = row else {
        return Ok(None);
    };
    let notification = Notification::from_row(&row).map_err(sql)?;
    Ok(Some((notification, row.try_get("body").map_err(sql)?)))
}

/// Makes a notification due once more, to the recipient's present address. One that is due already
/// stays so.
pub(crate) async fn resend(
    connection: &mut Connection,
    notification: &Notification,
    recipient: &str,
    now: i64,
) -> Result<()> {
    sqlx::query(
        "UPDATE notifications SET delivery = delivery + 1, attempts = 0, recipient = $3, due_at = $4 WHERE event_id = $1 AND channel = $2 AND due_at IS NULL",
    )
    .bind(&notification.event_id)
    .bind(&notification.channel)
    .bind(recipient)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}
