//! `/api/v1/sagas`: the runs of `PlaceOrder`, for operators. Each act says who does it and why, and
//! is recorded in the run's journal.

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{StatusCode, request::Parts},
};
use commerce_chassis::{
    Caller, Error, JsonBody, OpenApiRouter, Operators, PathParam, Problem, QueryParams, Refused,
    routes, utoipa,
};
use mainstay_saga::{Cancellation, Query, RunId, Signature, Status};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Desk;

/// Runs of a page unless the request says otherwise.
const PAGE: u32 = 50;

pub(crate) fn router(desk: Desk) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(count))
        .routes(routes!(show))
        .routes(routes!(retry))
        .routes(routes!(skip))
        .routes(routes!(cancel))
        .with_state(desk)
}

/// Which runs. What is not set matches all of them.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// `running`, `undoing`, `broken`, `completed` or `undone`.
    status: Option<String>,
    /// At this step, such as `AuthorizePayment`.
    step: Option<String>,
    /// Of this order.
    order: Option<String>,
    overdue: Option<bool>,
    /// Those before this run: `next` of the page before.
    before: Option<String>,
    /// Up to 1,000; of a larger number, 1,000.
    #[param(value_type = Option<i64>, minimum = 0)]
    limit: Option<u32>,
}

/// Runs, newest first.
#[utoipa::path(get, path = "/api/v1/sagas", operation_id = "list_sagas", tag = "order",
    params(Wanted), responses((status = OK, body = Value), Refused))]
async fn list(
    State(desk): State<Desk>,
    caller: Caller,
    QueryParams(wanted): QueryParams<Wanted>,
) -> Result<Json<Value>, Problem> {
    caller.require_operator()?;
    let mut query = Query::all();
    if let Some(name) = &wanted.status {
        let status = Status::named(name).ok_or_else(|| {
            let statuses = "running, undoing, broken, completed or undone";
            invalid("unknown-status", "There is no such status", statuses)
        })?;
        query = query.status(status);
    }
    query.step = wanted.step;
    query.key = wanted.order;
    query.is_overdue = wanted.overdue;
    let before = wanted.before.map(RunId::new);
    let limit = wanted.limit.unwrap_or(PAGE);
    let page = desk.list(&query, before.as_ref(), limit).await;
    let page = page.map_err(refused)?;
    Ok(Json(json!({"items": page.items, "next": page.next})))
}

/// How many runs are in each state, counted up to 10,000.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SagaCounts)]
struct Counts {
    running: u64,
    undoing: u64,
    broken: u64,
    overdue: u64,
}

/// How many runs have not ended.
#[utoipa::path(get, path = "/api/v1/sagas/counts", operation_id = "count_sagas", tag = "order",
    responses((status = OK, body = Counts), Refused))]
async fn count(State(desk): State<Desk>, caller: Caller) -> Result<Json<Counts>, Problem> {
    caller.require_operator()?;
    let of = async |query: Query| desk.count(&query).await.map_err(refused);
    Ok(Json(Counts {
        running: of(Query::all().status(Status::Running)).await?,
        undoing: of(Query::all().status(Status::Undoing)).await?,
        broken: of(Query::broken()).await?,
        overdue: of(Query::overdue()).await?,
    }))
}

/// What a run did.
#[utoipa::path(get, path = "/api/v1/sagas/{run}", operation_id = "show_saga", tag = "order",
    params(("run" = String, Path)), responses((status = OK, body = Value), Refused))]
async fn show(
    State(desk): State<Desk>,
    caller: Caller,
    PathParam(run): PathParam,
) -> Result<Json<Value>, Problem> {
    caller.require_operator()?;
    let timeline = desk.timeline(&RunId::new(run)).await.map_err(refused)?;
    Ok(Json(json!(timeline)))
}

/// Why an operator acts.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SagaReason)]
struct Why {
    reason: String,
}

/// What became of a run.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SagaActed)]
struct Acted {
    run: String,
    outcome: String,
}

/// Sends what is in flight again.
#[utoipa::path(post, path = "/api/v1/sagas/{run}/retry", operation_id = "retry_saga", tag = "order",
    params(("run" = String, Path), ("x-operator" = Option<String>, Header)), request_body = Why,
    responses((status = OK, body = Acted), Refused))]
async fn retry(
    State(desk): State<Desk>,
    Operator(operator): Operator,
    PathParam(run): PathParam,
    JsonBody(Why { reason }): JsonBody<Why>,
) -> Result<Json<Acted>, Problem> {
    let by = Signature::new(operator, reason);
    let retried = desk.retry(&RunId::new(&*run), &by).await;
    retried.map_err(refused)?;
    let outcome = "it goes on: what is in flight is sent again".to_owned();
    Ok(Json(Acted { run, outcome }))
}

/// The outcome of a step, as an operator supplies it.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SagaSkip)]
struct Skip {
    step: String,
    /// The JSON of the answer to the step; of a step that is undone, it is not looked at.
    result: Value,
    reason: String,
}

/// Goes on behind a step, with an answer that the operator supplies.
#[utoipa::path(post, path = "/api/v1/sagas/{run}/skip", operation_id = "skip_saga_step", tag = "order",
    params(("run" = String, Path), ("x-operator" = Option<String>, Header)), request_body = Skip,
    responses((status = OK, body = Acted), Refused))]
async fn skip(
    State(desk): State<Desk>,
    Operator(operator): Operator,
    PathParam(run): PathParam,
    JsonBody(skip): JsonBody<Skip>,
) -> Result<Json<Acted>, Problem> {
    let by = Signature::new(operator, skip.reason);
    let result = skip.result.to_string();
    let id = RunId::new(&*run);
    let skipped = desk.skip(&id, &skip.step, &result, &by).await;
    skipped.map_err(refused)?;
    let outcome = format!("it goes on behind {}", skip.step);
    Ok(Json(Acted { run, outcome }))
}

/// Has a run undone at its next safe point.
#[utoipa::path(post, path = "/api/v1/sagas/{run}/cancel", operation_id = "cancel_saga", tag = "order",
    params(("run" = String, Path), ("x-operator" = Option<String>, Header)), request_body = Why,
    responses((status = OK, body = Acted), Refused))]
async fn cancel(
    State(desk): State<Desk>,
    Operator(operator): Operator,
    PathParam(run): PathParam,
    JsonBody(Why { reason }): JsonBody<Why>,
) -> Result<Json<Acted>, Problem> {
    let by = Signature::new(operator, reason);
    let cancelled = desk.cancel(&RunId::new(&*run), &by).await;
    let outcome = match cancelled.map_err(refused)? {
        Cancellation::Accepted => "it is undone from here on".to_owned(),
        Cancellation::Undoing => "it was being undone before".to_owned(),
        Cancellation::Undecided => {
            return Err(late(
                "the capture was sent: it is undone if that is refused",
            ));
        }
        Cancellation::TooLate => return Err(late("its payment is captured, and it completes")),
        Cancellation::Not(status) => return Err(late(format!("it stays as it is: {status}"))),
    };
    Ok(Json(Acted { run, outcome }))
}

fn late(why: impl Into<String>) -> Problem {
    let title = "The run is not undone";
    Problem::new(StatusCode::CONFLICT, "saga.not_cancellable", title, why)
}

/// Who acts: the caller, or where anybody is one, the name that the request gives.
#[derive(Debug)]
struct Operator(String);

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        caller.require_operator()?;
        let name = caller
            .user_id()
            .or_else(|| Operators::named(&parts.headers));
        let name = name.ok_or_else(|| {
            let hint = "say who acts in the header X-Operator";
            Problem::unauthenticated("operator-missing", hint)
        })?;
        Ok(Self(name.to_owned()))
    }
}

fn invalid(slug: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, slug, title, detail)
}

/// An act that the run does not allow, or a database that does not answer.
fn refused(error: mainstay_saga::Error) -> Problem {
    use mainstay_saga::Error as Refusal;
    let detail = error.to_string();
    let conflict = |slug, title| Problem::new(StatusCode::CONFLICT, slug, title, &*detail);
    match error {
        Refusal::NotFound(_) => Problem::not_found("there is no such run"),
        Refusal::WrongState { .. } => conflict("saga.wrong_state", "The run has ended"),
        Refusal::NotInFlight { .. } => conflict("saga.not_in_flight", "The step is not in flight"),
        Refusal::Incompatible { .. } => conflict(
            "saga.incompatible",
            "This build does not know the run's steps",
        ),
        Refusal::Unsigned(_) => invalid("unsigned", "The act is not signed", detail),
        Refusal::Decode(_) | Refusal::Json(_) => {
            invalid("invalid-result", "This is no answer to the step", detail)
        }
        error => Error::from(error).into(),
    }
}
