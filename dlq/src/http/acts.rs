//! What operators do.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::{StatusCode, request::Parts},
};
use mainstay_inbox::store::WorkerStore;
use mainstay_messaging::{Group, InvalidName, Topic, broker::Content};
use serde::{Deserialize, Serialize};

use super::{Problem, Role, Routes};
use crate::{
    BlockedKey, DeadLetterId, DryRun, Query, Signature,
    desk::{BulkAct, Job},
    store::QueueStore,
};

type Routing<I, S> = State<Arc<Routes<I, S>>>;
type Id = Result<Path<i64>, PathRejection>;
type Body<T> = Result<Json<T>, JsonRejection>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    reason: String,
}

macro_rules! simple_act {
    ($name:ident) => {
        pub(super) async fn $name<I, S>(
            State(routes): Routing<I, S>,
            id: Id,
            parts: Parts,
            body: Body<Reason>,
        ) -> Result<StatusCode, Problem>
        where
            I: WorkerStore,
            S: QueueStore<Connection = I::Connection>,
        {
            let operator = routes.operator(&parts, Role::Operator)?;
            let (Path(id), Json(Reason { reason })) = (id?, body?);
            let by = Signature::new(operator, reason);
            routes.desk.$name(DeadLetterId(id), &by).await?;
            Ok(StatusCode::NO_CONTENT)
        }
    };
}

simple_act!(replay);
simple_act!(discard);
simple_act!(restore);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    revision: u32,
    payload: String,
    reason: String,
}

#[derive(Serialize)]
pub(super) struct Edited {
    revision: u32,
}

pub(super) async fn edit<I, S>(
    State(routes): Routing<I, S>,
    id: Id,
    parts: Parts,
    body: Body<Edit>,
) -> Result<Json<Edited>, Problem>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    let operator = routes.operator(&parts, Role::Operator)?;
    let (Path(id), Json(edit)) = (id?, body?);
    let id = DeadLetterId(id);
    let Content::Message(mut message) = routes.desk.show(id).await?.content else {
        let detail = "the record is not a message: make it one with the library";
        return Err(Problem::invalid(detail));
    };
    message.payload = Some(edit.payload.into());
    let by = Signature::new(operator, edit.reason);
    let revision = routes.desk.edit(id, edit.revision, message, &by).await?;
    Ok(Json(Edited { revision }))
}

pub(super) async fn dry_run<I, S>(
    State(routes): Routing<I, S>,
    id: Id,
    parts: Parts,
    body: Body<Reason>,
) -> Result<Json<DryRun>, Problem>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    let operator = routes.operator(&parts, Role::Operator)?;
    let (Path(id), Json(Reason { reason })) = (id?, body?);
    let run = routes.dry_run.as_ref().ok_or_else(Problem::no_dry_runs)?;
    let by = Signature::new(operator, reason);
    Ok(Json(run(DeadLetterId(id), by).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyReplay {
    consumer: String,
    topic: String,
    key: String,
    reason: String,
}

#[derive(Serialize)]
pub(super) struct Asked {
    message: DeadLetterId,
}

pub(super) async fn replay_key<I, S>(
    State(routes): Routing<I, S>,
    parts: Parts,
    body: Body<KeyReplay>,
) -> Result<Json<Asked>, Problem>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    let operator = routes.operator(&parts, Role::Operator)?;
    let Json(asked) = body?;
    let invalid = |error: InvalidName| Problem::invalid(error.to_string());
    let key = BlockedKey {
        consumer: Group::new(asked.consumer).map_err(invalid)?,
        topic: Topic::new(asked.topic).map_err(invalid)?,
        key: asked.key,
    };
    let by = Signature::new(operator, asked.reason);
    let message = routes.desk.replay_key(&key, &by).await?;
    Ok(Json(Asked { message }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    act: BulkAct,
    #[serde(default)]
    query: Query,
    rate: Option<f64>,
    reason: String,
}

pub(super) async fn start<I, S>(
    State(routes): Routing<I, S>,
    parts: Parts,
    body: Body<Start>,
) -> Result<(StatusCode, Json<Job>), Problem>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    let operator = routes.operator(&parts, Role::Operator)?;
    let Json(start) = body?;
    let (desk, by) = (&routes.desk, Signature::new(operator, start.reason));
    let id = match start.act {
        BulkAct::Replay => desk.replay_all(start.query, start.rate, &by).await?,
        BulkAct::Discard => desk.discard_all(start.query, start.rate, &by).await?,
    };
    Ok((StatusCode::ACCEPTED, Json(desk.job(id).await?)))
}

pub(super) async fn cancel<I, S>(
    State(routes): Routing<I, S>,
    id: Id,
    parts: Parts,
    body: Body<Reason>,
) -> Result<StatusCode, Problem>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    let operator = routes.operator(&parts, Role::Operator)?;
    let (Path(id), Json(Reason { reason })) = (id?, body?);
    let by = Signature::new(operator, reason);
    routes.desk.cancel_job(id, &by).await?;
    Ok(StatusCode::NO_CONTENT)
}
