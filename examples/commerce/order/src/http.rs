//! `/api/v1/orders`: place, list, show, cancel, return; the events and the timeline of an order.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use commerce_chassis::{
    Caller, Connection, Db, Error, OpenApiRouter, PathParam, Problem, QueryParams, Records,
    Refused, rfc3339, routes, sql, utoipa,
};
use mainstay_database::Transactions as _;
use mainstay_eventstore::{Aggregate as _, Events as _, Recorded};
use mainstay_idempotency::{Keyed, http};
use mainstay_messaging::{Cause, envelope::micros_since_epoch};
use mainstay_saga::{Cancellation, Query as Runs, Signature};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::{
    listing::{self, Page, Parameters, Query},
    order::{CAME_BACK, Order, OrderEvent, Status},
    orders::Orders,
    placement::{self, Accepted, Placing},
    request::{Body, Placement},
    returns,
    saga::PlaceOrderSaga,
    view::{self, Row},
};

#[derive(Clone)]
struct Shop {
    db: Db,
    records: Records,
    saga: PlaceOrderSaga,
    orders: Orders,
}

pub(crate) fn router(
    db: Db,
    records: Records,
    saga: PlaceOrderSaga,
    orders: Orders,
) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, place))
        .routes(routes!(show))
        .routes(routes!(events))
        .routes(routes!(timeline))
        .routes(routes!(cancel))
        .routes(routes!(send_back))
        .with_state(Shop {
            db,
            records,
            saga,
            orders,
        })
}

/// An order. The amount is in minor units of the currency.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Order)]
struct Shown {
    order_id: String,
    status: String,
    customer_id: String,
    currency: String,
    total_minor: i64,
    #[schema(value_type = Vec<Object>)]
    lines: Value,
    history: Vec<Entered>,
    /// What comes back, or came back.
    returns: Vec<returns::Shown>,
}

/// A status that an order has entered.
#[derive(Serialize, utoipa::ToSchema)]
struct Entered {
    status: &'static str,
    #[schema(format = DateTime)]
    at: String,
    /// Why it is cancelled, or completed although it was not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// An event of an order.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = OrderEvent)]
struct Event {
    version: u64,
    kind: String,
    #[schema(format = DateTime)]
    at: String,
    data: Value,
}

/// Places an order. One key of a customer is one order, and one answer.
///
/// It goes on even if the client hangs up.
#[utoipa::path(post, path = "/api/v1/orders", operation_id = "place_order", tag = "order",
    params(("Idempotency-Key" = String, Header, description = "A new one for each order; the same one when the request is sent again")),
    request_body = Body,
    responses((status = ACCEPTED, body = Accepted, headers(("Location" = String))), Refused))]
async fn place(
    State(shop): State<Shop>,
    caller: Caller,
    order: Keyed<Box<RawValue>>,
) -> Result<Response, http::Problem> {
    let mut order = order.try_map(|body| Placement::read(&body, &caller))?;
    order.request = order.body.keyed(&order.request.key)?;
    let Shop { saga, orders, .. } = shop;
    let cause = Cause::current();
    let placing = Placing {
        saga,
        orders,
        cause,
    };
    order
        .run_with(&shop.records, placing, placement::place)
        .await
}

/// Orders, the newest first.
#[utoipa::path(get, path = "/api/v1/orders", operation_id = "list_orders", tag = "order",
    params(Parameters), responses((status = OK, body = Page), Refused))]
async fn list(
    State(shop): State<Shop>,
    caller: Caller,
    QueryParams(parameters): QueryParams<Parameters>,
) -> Result<Json<Page>, Problem> {
    let query = Query::read(parameters, &caller)?;
    Ok(Json(listing::list(shop.db.reader(), &query).await?))
}

/// An order.
#[utoipa::path(get, path = "/api/v1/orders/{id}", operation_id = "show_order", tag = "order",
    params(("id" = String, Path)), responses((status = OK, body = Shown), Refused))]
async fn show(
    State(shop): State<Shop>,
    caller: Caller,
    PathParam(order_id): PathParam,
) -> Result<Json<Shown>, Problem> {
    let (row, events) = shop.read(&order_id, &caller).await?;
    Ok(Json(Shown {
        order_id,
        status: row.status,
        customer_id: row.customer_id,
        currency: row.currency,
        total_minor: row.total_minor,
        lines: row.lines,
        history: history(&events),
        returns: returns::of_order(&events),
    }))
}

/// The statuses that an order has entered.
fn history(events: &[Recorded<OrderEvent>]) -> Vec<Entered> {
    let mut order = Order::default();
    let mut entered = Vec::new();
    for recorded in events {
        let before = order.status;
        order.apply(&recorded.event);
        let Some(status) = order.status.filter(|status| before != Some(*status)) else {
            continue;
        };
        let reason = match &recorded.event {
            OrderEvent::CancellationBegun(begun) => {
                Some(format!("{}: {}", begun.reason.code, begun.reason.detail))
            }
            OrderEvent::ReturnRefunded(_) => Some(format!("returned: {CAME_BACK}")),
            _ => None,
        };
        entered.push(Entered {
            status: status.name(),
            at: time(recorded),
            reason,
        });
    }
    entered
}

/// The stream of an order.
#[utoipa::path(get, path = "/api/v1/orders/{id}/events", operation_id = "list_order_events", tag = "order",
    params(("id" = String, Path)), responses((status = OK, body = Vec<Event>), Refused))]
async fn events(
    State(shop): State<Shop>,
    caller: Caller,
    PathParam(order_id): PathParam,
) -> Result<Json<Vec<Event>>, Problem> {
    let (_, events) = shop.read(&order_id, &caller).await?;
    let events: Result<_, Error> = events.iter().map(as_json).collect();
    Ok(Json(events?))
}

fn as_json(recorded: &Recorded<OrderEvent>) -> Result<Event, Error> {
    let event = recorded
        .event
        .encode()
        .map_err(mainstay_eventstore::Error::from)?;
    let data = serde_json::from_str::<Value>(&event.payload);
    Ok(Event {
        version: recorded.version,
        kind: event.kind.to_string(),
        at: time(recorded),
        data: data.map_err(|error| Error::damaged("an event of an order", error))?,
    })
}

fn time(recorded: &Recorded<OrderEvent>) -> String {
    rfc3339(micros_since_epoch(recorded.recorded_at))
}

/// What the saga of an order did: JSON, or a text for people.
#[utoipa::path(get, path = "/api/v1/orders/{id}/timeline", operation_id = "show_order_timeline", tag = "order",
    params(("id" = String, Path)),
    responses((status = OK, content((Value = "application/json"), (String = "text/plain"))), Refused))]
async fn timeline(
    State(shop): State<Shop>,
    caller: Caller,
    PathParam(order_id): PathParam,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut reader = shop.db.reader().acquire().await.map_err(sql)?;
    let row = view::find(&mut reader, &order_id).await?;
    row.filter(|row| caller.may_see(&row.customer_id))
        .ok_or_else(no_such_order)?;
    drop(reader);
    let desk = shop.saga.desk();
    let runs = desk.list(&Runs::all().key(order_id), None, 1).await;
    let Some(run) = runs.map_err(Error::from)?.items.pop() else {
        return Err(no_such_order());
    };
    let timeline = desk.timeline(&run.run).await.map_err(Error::from)?;
    let accepts = headers.get(header::ACCEPT);
    let accepts = accepts.and_then(|accepts| accepts.to_str().ok());
    if accepts.is_some_and(|accepts| accepts.contains("text/plain")) {
        return Ok(timeline.to_string().into_response());
    }
    Ok(Json(timeline).into_response())
}

/// Cancels an order that is not paid yet. Cancelling it twice is the same as once.
#[utoipa::path(post, path = "/api/v1/orders/{id}/cancel", operation_id = "cancel_order", tag = "order",
    params(("id" = String, Path)), responses((status = ACCEPTED, body = Accepted), Refused))]
async fn cancel(
    State(shop): State<Shop>,
    caller: Caller,
    PathParam(order_id): PathParam,
) -> Result<Response, Problem> {
    let mut tx = shop.db.begin().await.map_err(Error::from)?;
    let row = view::find(&mut tx, &order_id).await?;
    let row = row.filter(|row| caller.may_see(&row.customer_id));
    let row = row.ok_or_else(no_such_order)?;
    let by = match caller.user_id().filter(|user| *user != row.customer_id) {
        Some(operator) => Signature::new(operator, "an operator cancelled the order"),
        None => Signature::new(row.customer_id, "the customer cancelled the order"),
    };
    let cancelled = shop.saga.cancel(&mut tx, &order_id, &by).await;
    match cancelled.map_err(Error::from)? {
        Some(Cancellation::Accepted | Cancellation::Undoing) => {}
        // Dropping the transaction forgets the request.
        _ => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "order.not_cancellable",
                "The order is not cancelled any more",
                "its payment is being captured, or it has ended",
            ));
        }
    }
    shop.db.commit(tx).await.map_err(Error::from)?;
    let status = Status::Cancelling.name();
    let answer = Accepted { order_id, status };
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// Returns some of what was delivered. One return per key, and one answer; its money is given back
/// soon.
#[utoipa::path(post, path = "/api/v1/orders/{id}/returns", operation_id = "return_order", tag = "order",
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    request_body = returns::Body,
    responses((status = ACCEPTED, body = returns::Requested, headers(("Location" = String))), Refused))]
async fn send_back(
    State(shop): State<Shop>,
    caller: Caller,
    PathParam(order_id): PathParam,
    mut asked: Keyed<returns::Body>,
) -> Result<Response, http::Problem> {
    let (row, _) = shop.read(&order_id, &caller).await?;
    asked.request = asked
        .body
        .keyed(&row.customer_id, &order_id, &asked.request.key)?;
    let key = asked.request.key.text().to_owned();
    let asked = asked.try_map(|body| body.read(order_id, key))?;
    let state = (shop.orders, Cause::current());
    asked.run_with(&shop.records, state, returns::take).await
}

impl Shop {
    /// The row of an order that the caller may see, with the events that it includes.
    async fn read(
        &self,
        order_id: &str,
        caller: &Caller,
    ) -> Result<(Row, Vec<Recorded<OrderEvent>>), Problem> {
        let mut reader = self.db.reader().acquire().await.map_err(sql)?;
        let connection: &mut Connection = &mut reader;
        let row = view::find(connection, order_id).await?;
        let row = row.filter(|row| caller.may_see(&row.customer_id));
        let row = row.ok_or_else(no_such_order)?;
        let events = self.orders.history(connection, order_id, row.version);
        Ok((row, events.await?))
    }
}

fn no_such_order() -> Problem {
    Problem::not_found("there is no such order")
}
