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
use mainstay_messaging::Group;
use serde::Deserialize;

use super::{Problem, Role, Routes};
use crate::{
    DeadLetter, DeadLetterId, Query,
    desk::{AuditEntry, Details, FailureGroup, Job, Page},
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

pub(super) async fn message<I, S>(
    State(routes): Routing<I, S>,
    parts: Parts,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Details>, Problem>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    routes.operator(&parts, Role::Reader)?;
    let Path(id) = id?;
    Ok(Json(routes.desk.show(DeadLetterId(id)).await?))
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
