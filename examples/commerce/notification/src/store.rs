//! The tables of the notification service.

pub(crate) mod deliveries;

use commerce_chassis::{Connection, Error, Result, sql};
use commerce_contracts::{Channel, Currency, OrderId, UserChanged};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use crate::{
    contact::{self, Contact},
    news::News,
    texts::Text,
};

/// Whose an order is, and its currency.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Owner {
    pub(crate) customer_id: String,
    pub(crate) currency: Currency,
}

/// News that came before its order was confirmed.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Early {
    pub(crate) event_id: String,
    pub(crate) news: News,
}

/// A notification that is written for the first time.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) channel: Channel,
    pub(crate) user_id: &'a str,
    pub(crate) order_id: &'a OrderId,
    pub(crate) news: &'static str,
    pub(crate) recipient: &'a str,
    pub(crate) text: &'a Text,
    pub(crate) now: i64,
}

/// Writes what identity says about a user, unless something newer is known.
pub(crate) async fn save_contact(connection: &mut Connection, user: &UserChanged) -> Result<()> {
    sqlx::query(
        "INSERT INTO contacts AS c (user_id, email, phone, display_name, locale, channels, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (user_id) DO UPDATE SET email = $2, phone = $3, display_name = $4, locale = $5, channels = $6, version = $7
         WHERE c.version < $7",
    )
    .bind(&user.user_id)
    .bind(&user.email)
    .bind(user.phone.as_deref())
    .bind(&user.display_name)
    .bind(&user.locale)
    .bind(contact::join(&user.channel_prefs))
    .bind(user.version)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// A user's contact, with what they asked for.
pub(crate) async fn contact(connection: &mut Connection, user_id: &str) -> Result<Option<Contact>> {
    let found: Option<(String, Option<String>, String, String, String)> = sqlx::query_as(
        "SELECT c.email, c.phone, c.display_name, coalesce(p.locale, c.locale), coalesce(p.channels, c.channels)
         FROM contacts c LEFT JOIN preferences p ON p.user_id = c.user_id WHERE c.user_id = $1",
    )
    .bind(user_id)
    .fetch_optional(connection)
    .await
    .map_err(sql)?;
    found.map(read_contact).transpose()
}

fn read_contact(
    (email, phone, name, locale, channels): (String, Option<String>, String, String, String),
) -> Result<Contact> {
    Ok(Contact {
        email,
        phone,
        name,
        locale,
        channels: contact::split(&channels)
            .ok_or_else(|| Error::damaged("a contact", format!("channels {channels:?}")))?,
    })
}

/// Writes how a user wants to be told.
pub(crate) async fn save_preferences(
    connection: &mut Connection,
    user_id: &str,
    channels: &[Channel],
    locale: Option<&str>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO preferences (user_id, channels, locale) VALUES ($1, $2, $3)
         ON CONFLICT (user_id) DO UPDATE SET channels = $2, locale = $3",
    )
    .bind(user_id)
    .bind(contact::join(channels))
    .bind(locale)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Writes whose a confirmed order is, and answers the news that waited for it.
pub(crate) async fn confirm(
    connection: &mut Connection,
    order_id: &OrderId,
    owner: &Owner,
) -> Result<Vec<Early>> {
    let early: String = sqlx::query_scalar(
        "INSERT INTO orders AS o (order_id, customer_id, currency, early) VALUES ($1, $2, $3, '')
         ON CONFLICT (order_id) DO UPDATE SET customer_id = $2, currency = $3 RETURNING early",
    )
    .bind(order_id.as_str())
    .bind(&owner.customer_id)
    .bind(owner.currency.code())
    .fetch_one(connection)
    .await
    .map_err(sql)?;
    let news = early.lines().map(serde_json::from_str);
    news.collect::<std::result::Result<_, _>>()
        .map_err(|error| Error::damaged("news that waits for its order", error))
}

/// Whose an order is, with their contact; none = the order is not known to be confirmed.
pub(crate) async fn owner(
    connection: &mut Connection,
    order_id: &OrderId,
) -> Result<Option<(Owner, Option<Contact>)>> {
    let row = sqlx::query(
        "SELECT o.customer_id, o.currency, c.email, c.phone, c.display_name, coalesce(p.locale, c.locale) AS locale, coalesce(p.channels, c.channels) AS channels
         FROM orders o LEFT JOIN contacts c ON c.user_id = o.customer_id LEFT JOIN preferences p ON p.user_id = o.customer_id
         WHERE o.order_id = $1",
    )
    .bind(order_id.as_str())
    .fetch_optional(connection)
    .await
    .map_err(sql)?;
    let Some(row) = row else {
        return Ok(None);
    };
    let customer_id = row.try_get("customer_id").map_err(sql)?;
    let owner = read_owner((customer_id, row.try_get("currency").map_err(sql)?))?;
    let Some(owner) = owner else {
        return Ok(None);
    };
    let email: Option<String> = row.try_get("email").map_err(sql)?;
    let Some(email) = email else {
        return Ok(Some((owner, None)));
    };
    let contact = read_contact((
        email,
        row.try_get("phone").map_err(sql)?,
        row.try_get("display_name").map_err(sql)?,
        row.try_get("locale").map_err(sql)?,
        row.try_get("channels").map_err(sql)?,
    ));
    Ok(Some((owner, Some(contact?))))
}

/// Lets news wait for the order, or answers whose it is: it may be confirmed by now. The row is
/// locked in either case, so no news is left behind.
pub(crate) async fn wait_for_owner(
    connection: &mut Connection,
    order_id: &OrderId,
    early: &Early,
) -> Result<Option<Owner>> {
    let line = serde_json::to_string(early);
    let line = line.map_err(|error| Error::damaged("received news", error))?;
    let found: (Option<String>, Option<String>) = sqlx::query_as(
        "INSERT INTO orders AS o (order_id, early) VALUES ($1, $2)
         ON CONFLICT (order_id) DO UPDATE SET early = CASE WHEN o.customer_id IS NULL THEN o.early || $2 ELSE o.early END
         RETURNING customer_id, currency",
    )
    .bind(order_id.as_str())
    .bind(format!("{line}\n"))
    .fetch_one(connection)
    .await
    .map_err(sql)?;
    read_owner(found)
}

fn read_owner(found: (Option<String>, Option<String>)) -> Result<Option<Owner>> {
    let (Some(customer_id), Some(currency)) = found else {
        return Ok(None);
    };
    Ok(Some(Owner {
        customer_id,
        currency: currency
            .parse()
            .map_err(|error| Error::damaged("an order's currency", error))?,
    }))
}

/// Inserts a notification, which is due at once, unless the event has one on this channel.
pub(crate) async fn insert(connection: &mut Connection, written: &Written<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO notifications (event_id, channel, user_id, order_id, news, recipient, subject, body, created_at, delivery, due_at, attempts)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $9, 0) ON CONFLICT (event_id, channel) DO NOTHING",
    )
    .bind(written.event_id)
    .bind(contact::name(written.channel))
    .bind(written.user_id)
    .bind(written.order_id.as_str())
    .bind(written.news)
    .bind(written.recipient)
    .bind(&written.text.subject)
    .bind(&written.text.body)
    .bind(written.now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}
