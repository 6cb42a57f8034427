//! `/api/v1/reports`, for operators.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use commerce_chassis::{
    Caller, Db, Error, OpenApiRouter, Problem, QueryParams, Refused, ServiceBuilder, from_rfc3339,
    rfc3339, routes, utoipa,
};
use futures_util::stream;
use mainstay_clock::Clock;
use mainstay_database::Transactions as _;
use mainstay_messaging::envelope::micros_since_epoch;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::{
    counts::{Dimension, STAGES, day},
    export,
    store::{self, Projection, Reported},
};

const DAY: i64 = 24 * 60 * 60 * 1_000_000;
/// The days of a report, if the request names none.
const USUAL_DAYS: i64 = 30;
/// Orders that an export holds in memory.
const EXPORTED_TOGETHER: i64 = 1_000;

#[derive(Clone)]
struct Desk {
    db: Db,
    clock: Arc<dyn Clock>,
    rebuild: Arc<Notify>,
}

/// `rebuild` wakes the round that rebuilds.
pub(crate) fn router(builder: &ServiceBuilder, rebuild: Arc<Notify>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(sales))
        .routes(routes!(funnel))
        .routes(routes!(export))
        .routes(routes!(show_rebuild, begin_rebuild))
        .with_state(Desk {
            db: builder.db().clone(),
            clock: Arc::clone(builder.clock()),
            rebuild,
        })
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Days {
    /// The first day on which the orders were placed, in UTC; default: 29 days before `to`.
    #[param(format = Date)]
    from: Option<String>,
    /// The last day; default: today.
    #[param(format = Date)]
    to: Option<String>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Sales {
    /// The first day on which the orders were placed, in UTC; default: 29 days before `to`.
    #[param(format = Date)]
    from: Option<String>,
    /// The last day; default: today.
    #[param(format = Date)]
    to: Option<String>,
    /// Default: `day`.
    #[serde(default)]
    by: By,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SalesBy)]
enum By {
    /// By day, without cancelled orders.
    #[default]
    Day,
    /// By SKU: confirmed orders that were not cancelled, without tax and shipping.
    Sku,
    /// By the status of the orders.
    Status,
}

#[derive(Serialize, utoipa::ToSchema)]
struct SalesReport {
    #[schema(format = Date)]
    from: String,
    #[schema(format = Date)]
    to: String,
    by: By,
    rows: Vec<SalesRow>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct SalesRow {
    /// The day, the SKU or the status.
    group: String,
    currency: String,
    orders: i64,
    pieces: i64,
    amount_minor: i64,
}

impl SalesRow {
    fn of((group, currency, orders, pieces, amount_minor): Reported) -> Self {
        Self {
            group,
            currency,
            orders,
            pieces,
            amount_minor,
        }
    }
}

/// What was sold, of the orders that were placed on some days.
#[utoipa::path(get, path = "/api/v1/reports/sales", operation_id = "sales_report", tag = "analytics",
    params(Sales), responses((status = OK, body = SalesReport), Refused))]
async fn sales(
    State(desk): State<Desk>,
    caller: Caller,
    QueryParams(sales): QueryParams<Sales>,
) -> Result<Json<SalesReport>, Problem> {
    caller.require_operator()?;
    let by = sales.by;
    let days = Days {
        from: sales.from,
        to: sales.to,
    };
    let (from, to) = days.read(desk.now())?;
    let (from, to) = (day(from), day(to - DAY));
    let reader = desk.db.reader();
    let rows = match by {
        By::Day => store::by_day(reader, &from, &to).await?,
        By::Sku => store::by_member(reader, Dimension::Sku, &from, &to).await?,
        By::Status => store::by_member(reader, Dimension::Status, &from, &to).await?,
    };
    let rows = rows.into_iter().map(SalesRow::of).collect();
    Ok(Json(SalesReport { from, to, by, rows }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct FunnelReport {
    #[schema(format = Date)]
    from: String,
    #[schema(format = Date)]
    to: String,
    /// The way of an order, and then where orders leave it.
    stages: Vec<Stage>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = FunnelStage)]
struct Stage {
    stage: &'static str,
    /// The orders that have reached it.
    orders: i64,
}

/// How far the orders came that were placed on some days.
#[utoipa::path(get, path = "/api/v1/reports/funnel", operation_id = "funnel_report", tag = "analytics",
    params(Days), responses((status = OK, body = FunnelReport), Refused))]
async fn funnel(
    State(desk): State<Desk>,
    caller: Caller,
    QueryParams(days): QueryParams<Days>,
) -> Result<Json<FunnelReport>, Problem> {
    caller.require_operator()?;
    let (from, to) = days.read(desk.now())?;
    let (from, to) = (day(from), day(to - DAY));
    let rows = store::by_member(desk.db.reader(), Dimension::Stage, &from, &to).await?;
    let stage = |stage| {
        let of_stage = rows.iter().filter(|(member, ..)| member == stage);
        let orders = of_stage.map(|(_, _, orders, ..)| orders).sum();
        Stage { stage, orders }
    };
    let stages = STAGES.into_iter().map(stage).collect();
    Ok(Json(FunnelReport { from, to, stages }))
}

/// The orders that were placed on some days, as CSV. It is read in pages: an order that changes
/// meanwhile is as its page has found it.
#[utoipa::path(get, path = "/api/v1/reports/export.csv", operation_id = "export_orders", tag = "analytics",
    params(Days), responses((status = OK, body = String, content_type = "text/csv"), Refused))]
async fn export(
    State(desk): State<Desk>,
    caller: Caller,
    QueryParams(days): QueryParams<Days>,
) -> Result<Response, Problem> {
    caller.require_operator()?;
    let (from, to) = days.read(desk.now())?;
    let head = export::head()?;
    // The first page is the head; then comes what is behind the cursor.
    let start = (Some(head), (from, String::new()));
    let pages = stream::try_unfold(start, move |(head, cursor)| {
        let db = desk.db.clone();
        async move {
            if let Some(head) = head {
                return Ok::<_, Error>(Some((head, (None, cursor))));
            }
            let page = store::placed_between(db.reader(), (from, to), &cursor, EXPORTED_TOGETHER);
            let page = page.await?;
            let last = page.last().and_then(|last| {
                let placed = last.fact.placed.as_ref()?;
                Some((placed.at, last.order_id.clone()))
            });
            let Some(last) = last else {
                return Ok(None);
            };
            Ok(Some((export::orders(&page)?, (None, last))))
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"orders.csv\"",
        ),
    ];
    Ok((headers, Body::from_stream(pages)).into_response())
}

/// A rebuild of the counts from the facts of the orders.
#[derive(Serialize, utoipa::ToSchema)]
struct Rebuild {
    /// `running`, `finished`, or `never`.
    state: &'static str,
    orders_done: i64,
    orders_total: i64,
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// The hash of the counts before; none until it has finished.
    live_hash: Option<String>,
    rebuilt_hash: Option<String>,
    /// Whether the counts before were right.
    equal: Option<bool>,
}

impl From<Projection> for Rebuild {
    fn from(projection: Projection) -> Self {
        let state = match (projection.building, projection.finished_at) {
            (Some(_), _) => "running",
            (None, Some(_)) => "finished",
            (None, None) => "never",
        };
        let hashes = projection.live_hash.as_ref();
        let hashes = hashes.zip(projection.rebuilt_hash.as_ref());
        Self {
            state,
            orders_done: projection.facts_done,
            orders_total: projection.facts_total,
            started_at: projection.started_at.map(rfc3339),
            finished_at: projection.finished_at.map(rfc3339),
            equal: hashes.map(|(live, rebuilt)| live == rebuilt),
            live_hash: projection.live_hash,
            rebuilt_hash: projection.rebuilt_hash,
        }
    }
}

/// How far the rebuild is, or what the last one has found.
#[utoipa::path(get, path = "/api/v1/reports/rebuild", operation_id = "show_rebuild", tag = "analytics",
    responses((status = OK, body = Rebuild), Refused))]
async fn show_rebuild(State(desk): State<Desk>, caller: Caller) -> Result<Json<Rebuild>, Problem> {
    caller.require_operator()?;
    let projection = store::projection(desk.db.reader()).await?;
    Ok(Json(projection.into()))
}

/// Counts again from the facts, beside the live counts, and swaps. While that runs, to ask again
/// changes nothing.
#[utoipa::path(post, path = "/api/v1/reports/rebuild", operation_id = "begin_rebuild", tag = "analytics",
    responses((status = ACCEPTED, body = Rebuild), Refused))]
async fn begin_rebuild(
    State(desk): State<Desk>,
    caller: Caller,
) -> Result<(StatusCode, Json<Rebuild>), Problem> {
    caller.require_operator()?;
    let mut tx = desk.db.begin().await.map_err(Error::from)?;
    store::begin_rebuild(&mut tx, desk.now()).await?;
    desk.db.commit(tx).await.map_err(Error::from)?;
    desk.rebuild.notify_one();
    let projection = store::projection(desk.db.reader()).await?;
    Ok((StatusCode::ACCEPTED, Json(projection.into())))
}

impl Desk {
    fn now(&self) -> i64 {
        micros_since_epoch(self.clock.now())
    }
}

impl Days {
    /// From the begin of the first day to the end of the last one.
    fn read(&self, now: i64) -> Result<(i64, i64), Problem> {
        let to = match &self.to {
            Some(to) => begin(to)?,
            None => now.div_euclid(DAY) * DAY,
        } + DAY;
        let from = match &self.from {
            Some(from) => begin(from)?,
            None => to - USUAL_DAYS * DAY,
        };
        if from >= to {
            return Err(invalid("`from` is after `to`"));
        }
        Ok((from, to))
    }
}

/// The begin of a day.
fn begin(day: &str) -> Result<i64, Problem> {
    let is_day = day.len() == 10 && day.is_ascii();
    let begin = from_rfc3339(&format!("{day}T00:00:00Z"));
    let begin = begin.filter(|_| is_day);
    begin.ok_or_else(|| invalid("expected days such as 2026-11-29"))
}

fn invalid(detail: &str) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid-days",
        "There is no report for these days",
        detail,
    )
}
