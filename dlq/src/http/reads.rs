//! What operators see.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        Path, Query as QueryString, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::request::Parts,
};
use mainstay_inbox::store::WorkerStore;
use mainstay_messaging::{Group, Headers, broker::Content};
use serde::{Deserialize, Serialize};

use super::{Problem, Role, Routes};
use crate::{
    DeadLetter, DeadLetterId, Query,
    desk::{AuditEntry, FailureGroup, FailureRecord, Job, Page},
    store::QueueStore,
};

type Routing<I, S> = State<Arc<Routes<I, S>>>;
type Asked<T> = Result<QueryString<T>, QueryRejection>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    consumer: Option<String>,
    message: Option<i64>,
    before: Option<i64>,
    limit: Option<u32>,
}

/// How many items a page has unless the request says so.
const PAGE: u32 = 50;

pub(super) async fn groups<I, S>(
    State(routes): Routing<I, S>,
    parts: Parts,
    window: Asked<Window>,
) -> Result<Json<Vec<FailureGroup>>, Problem>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    routes.operator(&parts, Role::Reader)?;
    let QueryString(window) = window?;
    let consumer = window.consumer.map(Group::new).transpose();
    let consumer = consumer.map_err(|error| Problem::invalid(error.to_string()))?;
    let limit = window.limit.unwrap_or(PAGE);
    Ok(Json(routes.desk.groups(consumer.as_ref(), limit).await?))
}

/// A query string: what a message must match, and which page.
#[derive(Deserialize)]
pub(super) struct Search {
    consumer: Option<String>,
    topic: Option<String>,
    key: Option<String>,
    kind: Option<String>,
    message_id: Option<String>,
    fingerprint: Option<String>,
    state: Option<crate::State>,
    since: Option<jiff::Timestamp>,
    until: Option<jiff::Timestamp>,
    before: Option<i64>,
    limit: Option<u32>,
}

pub(super) async fn messages<I, S>(
    State(routes): Routing<I, S>,
    parts: Parts,
    search: Asked<Search>,
) -> Result<Json<Page<DeadLetter>>, Problem>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    routes.operator(&parts, Role::Reader)?;
    let QueryString(search) = search?;
    let query = Query {
        consumer: search.consumer,
        topic: search.topic,
        key: search.key,
        kind: search.kind,
        message_id: search.message_id,
        fingerprint: search.fingerprint,
        state: search.state,
        since: search.since.map(jiff::Timestamp::as_microsecond),
        until: search.until.map(jiff::Timestamp::as_microsecond),
    };
    let limit = search.limit.unwrap_or(PAGE);
    Ok(Json(routes.desk.list(&query, search.before, limit).await?))
}

/// Bytes as text, or in hexadecimal if they are none.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Bytes {
    Text(String),
    Hex(String),
}

impl Bytes {
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Hex(hex::encode(bytes)),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    letter: DeadLetter,
    /// Why the record is not a message, if it is none.
    unreadable: Option<String>,
    version: Option<u32>,
    traceparent: Option<String>,
    correlation_id: Option<String>,
    causation_id: Option<String>,
    headers: Vec<(String, Bytes)>,
    payload: Option<Bytes>,
    failures: Vec<FailureRecord>,
    held: u64,
}

pub(super) async fn message<I, S>(
    State(routes): Routing<I, S>,
    parts: Parts,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Shown>, Problem>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    routes.operator(&parts, Role::Reader)?;
    let Path(id) = id?;
    let details = routes.desk.show(DeadLetterId(id)).await?;
    let texts = |headers: &Headers| {
        let texts = headers.iter();
        texts
            .map(|(name, value)| (name.to_owned(), Bytes::of(value)))
            .collect()
    };
    let mut shown = Shown {
        letter: details.letter,
        unreadable: None,
        version: None,
        traceparent: None,
        correlation_id: None,
        causation_id: None,
        headers: Vec::new(),
        payload: None,
        failures: details.failures,
        held: details.held,
    };
    match details.content {
        Content::Message(message) => {
            shown.headers = texts(&message.headers);
            shown.payload = message.payload.as_deref().map(Bytes::of);
            shown.version = Some(message.version);
            shown.traceparent = message.traceparent;
            shown.correlation_id = message.correlation_id;
            shown.causation_id = message.causation_id;
        }
        Content::Raw(raw) => {
            shown.headers = texts(&raw.headers);
            shown.payload = raw.payload.as_deref().map(Bytes::of);
            shown.unreadable = Some(raw.reason);
        }
    }
    Ok(Json(shown))
}

pub(super) async fn jobs<I, S>(
    State(routes): Routing<I, S>,
    parts: Parts,
    window: Asked<Window>,
) -> Result<Json<Vec<Job>>, Problem>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    routes.operator(&parts, Role::Reader)?;
    let QueryString(window) = window?;
    Ok(Json(routes.desk.jobs(window.limit.unwrap_or(PAGE)).await?))
}

pub(super) async fn job<I, S>(
    State(routes): Routing<I, S>,
    parts: Parts,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Job>, Problem>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    routes.operator(&parts, Role::Reader)?;
    let Path(id) = id?;
    Ok(Json(routes.desk.job(id).await?))
}

pub(super) async fn audit<I, S>(
    State(routes): Routing<I, S>,
    parts: Parts,
    window: Asked<Window>,
) -> Result<Json<Page<AuditEntry>>, Problem>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    routes.operator(&parts, Role::Reader)?;
    let QueryString(window) = window?;
    let letter = window.message.map(DeadLetterId);
    let limit = window.limit.unwrap_or(PAGE);
    Ok(Json(routes.desk.audit(letter, window.before, limit).await?))
}
