//! `/api/v1/notifications` and `/api/v1/preferences`.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use commerce_chassis::{Db, Error, PathParam, Problem, ServiceBuilder, rfc3339};
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

pub(crate) fn router(builder: &ServiceBuilder) -> Router {
    Router::new()
        .route("/api/v1/notifications", get(list))
        .route("/api/v1/notifications/{id}", get(show))
        .route("/api/v1/notifications/{id}/resend", post(resend))
        .route("/api/v1/preferences", put(prefer))
        .with_state(Desk {
            db: builder.db().clone(),
            clock: Arc::clone(builder.clock()),
        })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    user: String,
    /// Of this order only.
    order: Option<String>,
    /// Those before this event: `next` of the answer before.
    before: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    notifications: Vec<Shown>,
    /// None: there are no more.
    next: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    notification_id: String,
    user_id: String,
    order_id: String,
    news: String,
    channel: String,
    recipient: String,
    /// `due`, `sent` or `refused`.
    status: &'static str,
    created_at: String,
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

async fn list(
    State(desk): State<Desk>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted.map_err(|rejection| bad_request(rejection.body_text()))?;
    let Wanted {
        user,
        order,
        before,
    } = wanted;
    let texts = [Some(&user), order.as_ref(), before.as_ref()];
    if texts.into_iter().flatten().any(|text| text.contains('\0')) {
        return Err(bad_request("no name contains a NUL"));
    }
    let found = deliveries::of_user(
        desk.db.reader(),
        &user,
        order.as_deref(),
        before.as_deref(),
        LISTED,
    );
    let found = found.await?;
    let is_full = found.len() >= usize::try_from(LISTED).unwrap_or(usize::MAX);
    let next = found.last().filter(|_| is_full);
    let listed = Listed {
        next: next.map(|last| last.event_id.clone()),
        notifications: found.into_iter().map(|one| Shown::of(one, None)).collect(),
    };
    Ok(Json(listed).into_response())
}

async fn show(State(desk): State<Desk>, PathParam(id): PathParam) -> Result<Response, Problem> {
    let (notification, body) = desk.find(&id).await?;
    Ok(Json(Shown::of(notification, Some(body))).into_response())
}

/// Sends a notification once more, to the present address. While it is due, that changes nothing.
async fn resend(State(desk): State<Desk>, PathParam(id): PathParam) -> Result<Response, Problem> {
    let (notification, _) = desk.find(&id).await?;
    let mut tx = desk.db.begin().await.map_err(Error::from)?;
    let contact = store::contact(&mut tx, &notification.user_id).await?;
    let address = contact.as_ref().and_then(|contact| {
        let channel = contact::channel(&notification.channel)?;
        contact.address(channel)
    });
    let recipient = address.unwrap_or(&notification.recipient);
    deliveries::resend(&mut tx, &notification, recipient, desk.now()).await?;
    desk.db.commit(tx).await.map_err(Error::from)?;
    let (notification, _) = desk.find(&id).await?;
    let answer = Json(Shown::of(notification, None));
    Ok((StatusCode::ACCEPTED, answer).into_response())
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Preferences {
    user: String,
    channels: Vec<Channel>,
    /// None: as the user's account says.
    locale: Option<String>,
}

async fn prefer(State(desk): State<Desk>, body: Bytes) -> Result<Response, Problem> {
    let wanted: Preferences =
        serde_json::from_slice(&body).map_err(|error| bad_request(error.to_string()))?;
    let Preferences {
        user,
        channels,
        locale,
    } = &wanted;
    check_locale(locale.as_deref())?;
    if channels.is_empty() {
        return Err(invalid("a customer is told on at least one channel"));
    }
    if user.contains('\0') {
        return Err(Problem::not_found("no name contains a NUL"));
    }
    let mut tx = desk.db.begin().await.map_err(Error::from)?;
    let Some(contact) = store::contact(&mut tx, user).await? else {
        return Err(Problem::not_found("there is no such user"));
    };
    if let Some(channel) = channels.iter().find(|it| contact.address(**it).is_none()) {
        let channel = contact::name(*channel);
        return Err(invalid(format!("the account has no address for {channel}")));
    }
    store::save_preferences(&mut tx, user, channels, locale.as_deref()).await?;
    desk.db.commit(tx).await.map_err(Error::from)?;
    Ok(Json(wanted).into_response())
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

    async fn find(&self, id: &str) -> Result<(Notification, String), Problem> {
        let found = match id.rsplit_once('.') {
            Some((event_id, channel)) => {
                deliveries::find(self.db.reader(), event_id, channel).await?
            }
            None => None,
        };
        found.ok_or_else(|| Problem::not_found("there is no such notification"))
    }
}

fn bad_request(detail: impl Into<String>) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "invalid-request",
        "The request cannot be read",
        detail,
    )
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid-preferences",
        "These preferences are not possible",
        detail,
    )
}
