//! `/api/v1/orders`: place, show, cancel; the events and the timeline of an order.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use commerce_chassis::{Connection, Db, Error, PathParam, Problem, Records, rfc3339, sql};
use mainstay_database::Transactions as _;
use mainstay_eventstore::{Aggregate as _, Events as _, Recorded};
use mainstay_idempotency::{Keyed, http};
use mainstay_messaging::envelope::micros_since_epoch;
use mainstay_saga::{Cancellation, Query, Signature};
use serde_json::{Value, json, value::RawValue};

use crate::{
    order::{Order, OrderEvent, Status},
    orders::Orders,
    placement::{self, Placing},
    request::Placement,
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

pub(crate) fn router(db: Db, records: Records, saga: PlaceOrderSaga, orders: Orders) -> Router {
    Router::new()
        .route("/api/v1/orders", post(place))
        .route("/api/v1/orders/{id}", get(show))
        .route("/api/v1/orders/{id}/events", get(events))
        .route("/api/v1/orders/{id}/timeline", get(timeline))
        .route("/api/v1/orders/{id}/cancel", post(cancel))
        .with_state(Shop {
            db,
            records,
            saga,
            orders,
        })
}

/// One order per key of a customer, and one answer. It goes on even if the client hangs up.
async fn place(
    State(shop): State<Shop>,
    order: Keyed<Box<RawValue>>,
) -> Result<Response, http::Problem> {
    let mut order = order.try_map(|body| Placement::read(&body))?;
    order.request = order.body.keyed(&order.request.key)?;
    let Shop { saga, orders, .. } = shop;
    let placing = Placing { saga, orders };
    order
        .run_with(&shop.records, placing, placement::place)
        .await
}

async fn show(
    State(shop): State<Shop>,
    PathParam(order_id): PathParam,
) -> Result<Json<Value>, Problem> {
    let (row, events) = shop.read(&order_id).await?;
    Ok(Json(json!({
        "order_id": order_id,
        "status": row.status,
        "customer_id": row.customer_id,
        "currency": row.currency,
        "total_minor": row.total_minor,
        "lines": row.lines,
        "history": history(&events),
    })))
}

/// The statuses that an order has entered.
fn history(events: &[Recorded<OrderEvent>]) -> Vec<Value> {
    let mut order = Order::default();
    let mut entered = Vec::new();
    for recorded in events {
        let before = order.status;
        order.apply(&recorded.event);
        let Some(status) = order.status.filter(|status| before != Some(*status)) else {
            continue;
        };
        let mut entry = json!({"status": status.name(), "at": time(recorded)});
        if let OrderEvent::CancellationBegun(begun) = &recorded.event {
            let reason = &begun.reason;
            entry["reason"] = json!(format!("{}: {}", reason.code, reason.detail));
        }
        entered.push(entry);
    }
    entered
}

/// The stream of an order.
async fn events(
    State(shop): State<Shop>,
    PathParam(order_id): PathParam,
) -> Result<Json<Vec<Value>>, Problem> {
    let (_, events) = shop.read(&order_id).await?;
    let events: Result<_, Error> = events.iter().map(as_json).collect();
    Ok(Json(events?))
}

fn as_json(recorded: &Recorded<OrderEvent>) -> Result<Value, Error> {
    let event = recorded
        .event
        .encode()
        .map_err(mainstay_eventstore::Error::from)?;
    let data = serde_json::from_str::<Value>(&event.payload);
    Ok(json!({
        "version": recorded.version,
        "kind": event.kind,
        "at": time(recorded),
        "data": data.map_err(|error| Error::damaged("an event of an order", error))?,
    }))
}

fn time(recorded: &Recorded<OrderEvent>) -> String {
    rfc3339(micros_since_epoch(recorded.recorded_at))
}

/// What the saga did: JSON, or a text for people.
async fn timeline(
    State(shop): State<Shop>,
    PathParam(order_id): PathParam,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let desk = shop.saga.desk();
    let runs = desk.list(&Query::all().key(order_id), None, 1).await;
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
async fn cancel(
    State(shop): State<Shop>,
    PathParam(order_id): PathParam,
) -> Result<Response, Problem> {
    let mut tx = shop.db.begin().await.map_err(Error::from)?;
    let Some(row) = view::find(&mut tx, &order_id).await? else {
        return Err(no_such_order());
    };
    let by = Signature::new(row.customer_id, "the customer cancelled the order");
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
    let answer = json!({"order_id": order_id, "status": Status::Cancelling.name()});
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

impl Shop {
    /// The row of an order, with the events that it includes.
    async fn read(&self, order_id: &str) -> Result<(Row, Vec<Recorded<OrderEvent>>), Problem> {
        let mut reader = self.db.reader().acquire().await.map_err(sql)?;
        let connection: &mut Connection = &mut reader;
        let row = view::find(connection, order_id).await?;
        let row = row.ok_or_else(no_such_order)?;
        let events = self.orders.history(connection, order_id, row.version);
        Ok((row, events.await?))
    }
}

fn no_such_order() -> Problem {
    Problem::not_found("there is no such order")
}
