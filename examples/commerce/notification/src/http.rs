//! `/api/v1/notifications` and `/api/v1/preferences`.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use commerce_chassis::{
    Caller, Db, Error, JsonBody, OpenApiRouter, PathParam, Problem, QueryParams, Refused,
    ServiceBuilder, rfc3339, routes, utoipa,
};
use commerce_contracts::Channel;
use mainstay_clock::Clock;
use mainstay_database::Transactions as _;
use mainstay_messaging::envelope::micros_since_epoch;
use serde::{Deserialize, Serialize};

use crate::{
    contact,
    store::{
        self,
        deliveries::{self, Notification},
    },
};

/// Notifications in one answer.
const LISTED: i64 = 50;

#[derive(Clone)]
struct Desk {
    db: Db,
    clock: Arc<dyn Clock>,
}

pub(crate) fn router(builder: &ServiceBuilder) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(resend))
        .routes(routes!(prefer))
        .with_state(Desk {
            db: builder.db().clone(),
            clock: Arc::clone(builder.clock()),
        })
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// The user; a customer sees the own notifications only, and may leave it out.
    user: Option<String>,
    /// Of this order only.
    order: Option<String>,
    /// Those behind this notification: `next` of the answer before.
    before: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Notifications)]
struct Listed {
    notifications: Vec<Shown>,
    /// None: there are no more.
    next: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Notification)]
struct Shown {
    notification_id: String,
    user_id: String,
    order_id: String,
    /// Such as `confirmed`.
    news: String,
    /// `email` or `sms`.
    channel: String,
    recipient: String,
    /// `due`, `sent` or `refused`.
    status: &'static str,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    sent_at: Option<String>,
    /// 1, and one more for each resend.
    delivery: i64,
    /// Why the last attempt failed.
    error: Option<String>,
    subject: String,
    /// None in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

impl Shown {
    fn of(notification: Notification, body: Option<String>) -> Self {
        let status = match (notification.is_due, &notification.error) {
            (true, _) => "due",
            (false, None) => "sent",
            (false, Some(_)) => "refused",
        };
        Self {
            notification_id: id(&notification),
            status,
            user_id: notification.user_id,
            order_id: notification.order_id,
            news: notification.news,
            channel: notification.channel,
            recipient: notification.recipient,
            created_at: rfc3339(notification.created_at),
            sent_at: notification.sent_at.map(rfc3339),
            delivery: notification.delivery,
            error: notification.error,
            subject: notification.subject,
            body,
        }
    }
}

fn id(notification: &Notification) -> String {
    format!("{}.{}", notification.event_id, notification.channel)
}

/// The notifications of a user, the newest first.
#[utoipa::path(get, path = "/api/v1/notifications", operation_id = "list_notifications", tag = "notification",
    params(Wanted), responses((status = OK, body = Listed), Refused))]
async fn list(
    State(desk): State<Desk>,
    caller: Caller,
    QueryParams(wanted): QueryParams<Wanted>,
) -> Result<Json<Listed>, Problem> {
    let user = caller.acts_for(wanted.user.as_deref())?;
    let (order, before) = (wanted.order.as_deref(), wanted.before.as_deref());
    let before = before.map(|id| id.rsplit_once('.').ok_or_else(no_place));
    let before = before.transpose()?;
    let found = deliveries::of_user(desk.db.reader(), &user, order, before, LISTED).await?;
    let is_full = found.len() >= usize::try_from(LISTED).unwrap_or(usize::MAX);
    let next = found.last().filter(|_| is_full);
    Ok(Json(Listed {
        next: next.map(id),
        notifications: found.into_iter().map(|one| Shown::of(one, None)).collect(),
    }))
}

/// A notification, with its text.
#[utoipa::path(get, path = "/api/v1/notifications/{id}", operation_id = "show_notification", tag = "notification",
    params(("id" = String, Path)), responses((status = OK, body = Shown), Refused))]
async fn show(
    State(desk): State<Desk>,
    caller: Caller,
    PathParam(id): PathParam,
) -> Result<Json<Shown>, Problem> {
    let (notification, body) = desk.find(&caller, &id).await?;
    Ok(Json(Shown::of(notification, Some(body))))
}

/// Sends a notification once more, to the present address. While it is due, that changes nothing.
#[utoipa::path(post, path = "/api/v1/notifications/{id}/resend", operation_id = "resend_notification", tag = "notification",
    params(("id" = String, Path)), responses((status = ACCEPTED, body = Shown), Refused))]
async fn resend(
    State(desk): State<Desk>,
    caller: Caller,
    PathParam(id): PathParam,
) -> Result<(StatusCode, Json<Shown>), Problem> {
    let (notification, _) = desk.find(&caller, &id).await?;
    let mut tx = desk.db.begin().await.map_err(Error::from)?;
    let contact = store::contact(&mut tx, &notification.user_id).await?;
    let address = contact.as_ref().and_then(|contact| {
        let channel = contact::channel(&notification.channel)?;
        contact.address(channel)
    });
    let recipient = address.unwrap_or(&notification.recipient);
    deliveries::resend(&mut tx, &notification, recipient, desk.now()).await?;
    desk.db.commit(tx).await.map_err(Error::from)?;
    let (notification, _) = desk.find(&caller, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(Shown::of(notification, None))))
}

#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Preferences {
    /// The user; a customer may leave it out.
    user: Option<String>,
    /// `email`, `sms`, or both.
    #[schema(value_type = Vec<String>)]
    channels: Vec<Channel>,
    /// The language of texts; none: as the user's account says.
    locale: Option<String>,
}

/// How a user wants to be told from now on.
#[utoipa::path(put, path = "/api/v1/preferences", operation_id = "set_preferences", tag = "notification",
    request_body = Preferences, responses((status = OK, body = Preferences), Refused))]
async fn prefer(
    State(desk): State<Desk>,
    caller: Caller,
    JsonBody(wanted): JsonBody<Preferences>,
) -> Result<Json<Preferences>, Problem> {
    let user = caller.acts_for(wanted.user.as_deref())?;
    let (channels, locale) = (&wanted.channels, wanted.locale.as_deref());
    check_locale(locale)?;
    if channels.is_empty() {
        return Err(invalid("a customer is told on at least one channel"));
    }
    if user.contains('\0') {
        return Err(Problem::not_found("no name contains a NUL"));
    }
    let mut tx = desk.db.begin().await.map_err(Error::from)?;
    let Some(contact) = store::contact(&mut tx, &user).await? else {
        return Err(Problem::not_found("there is no such user"));
    };
    if let Some(channel) = channels.iter().find(|it| contact.address(**it).is_none()) {
        let channel = contact::name(*channel);
        return Err(invalid(format!("the account has no address for {channel}")));
    }
    store::save_preferences(&mut tx, &user, channels, locale).await?;
    desk.db.commit(tx).await.map_err(Error::from)?;
    let user = Some(user);
    Ok(Json(Preferences { user, ..wanted }))
}

/// A language tag, such as `de` or `de-AT`.
fn check_locale(locale: Option<&str>) -> Result<(), Problem> {
    let is_tag = |tag: &str| {
        let mut parts = tag.split('-');
        tag.len() <= 35
            && parts.all(|part| {
                (1..=8).contains(&part.len())
                    && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
            })
    };
    if locale.is_none_or(is_tag) {
        return Ok(());
    }
    Err(invalid("locale: expected a language tag, such as de-AT"))
}

impl Desk {
    fn now(&self) -> i64 {
        micros_since_epoch(self.clock.now())
    }

    /// A notification that the caller may see.
    async fn find(&self, caller: &Caller, id: &str) -> Result<(Notification, String), Problem> {
        let found = match id.rsplit_once('.') {
            Some((event_id, channel)) => {
                deliveries::find(self.db.reader(), event_id, channel).await?
            }
            None => None,
        };
        let found = found.filter(|(notification, _)| caller.may_see(&notification.user_id));
        found.ok_or_else(|| Problem::not_found("there is no such notification"))
    }
}

fn no_place() -> Problem {
    let (title, detail) = (
        "There is no such place in the list",
        "before: expected `next` of an answer, such as EVENT.email",
    );
    Problem::new(StatusCode::BAD_REQUEST, "invalid-query", title, detail)
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid-preferences",
        "These preferences are not possible",
        detail,
    )
}
