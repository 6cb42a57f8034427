//! The shipment of an order, the way of a parcel, and the carrier's webhook.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRef, State},
    http::StatusCode,
};
use commerce_chassis::{
    Caller, Db, Error, OpenApiRouter, Outbox, PathParam, Problem, Refused, ServiceBuilder,
    Signatures, Signed, WebhookSecret, from_rfc3339, rfc3339, routes, utoipa,
};
use commerce_contracts::{OrderId, ShipmentStatus};
use mainstay_clock::Clock;
use mainstay_database::Transactions as _;
use mainstay_messaging::envelope::micros_since_epoch;
use serde::{Deserialize, Serialize};

use crate::{
    scan::{self, Scan, Taken},
    shipment::{shipment_id, tracking_no},
    store::{self, Tracked},
};

/// How far the carrier's clock may be ahead, in microseconds.
const AHEAD: i64 = 5 * 60 * 1_000_000;
/// Characters of a location at most.
const LONGEST_LOCATION: usize = 100;

#[derive(Clone)]
struct Depot {
    db: Db,
    outbox: Outbox,
    clock: Arc<dyn Clock>,
    carrier: Signatures,
}

impl FromRef<Depot> for Signatures {
    fn from_ref(depot: &Depot) -> Self {
        depot.carrier.clone()
    }
}

pub(crate) fn router(builder: &ServiceBuilder, carrier: WebhookSecret) -> OpenApiRouter {
    let clock = Arc::clone(builder.clock());
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(track))
        .routes(routes!(scanned))
        .with_state(Depot {
            db: builder.db().clone(),
            outbox: builder.outbox().clone(),
            carrier: Signatures::new(carrier, Arc::clone(&clock)),
            clock,
        })
}

/// A shipment.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Shipment)]
struct Shown {
    shipment_id: String,
    #[schema(value_type = String)]
    order_id: OrderId,
    tracking_no: String,
    status: &'static str,
    tracking: Vec<Seen>,
}

/// The way of a parcel.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Track)]
struct Way {
    tracking_no: String,
    status: &'static str,
    tracking: Vec<Seen>,
}

/// When and where a parcel was seen.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = TrackedStatus)]
struct Seen {
    status: String,
    location: Option<String>,
    #[schema(format = DateTime)]
    at: String,
}

impl From<Tracked> for Seen {
    fn from(tracked: Tracked) -> Self {
        Self {
            status: tracked.status,
            location: tracked.location,
            at: rfc3339(tracked.occurred_at),
        }
    }
}

/// The shipment of an order.
#[utoipa::path(get, path = "/api/v1/shipments/{order_id}", operation_id = "show_shipment", tag = "shipping",
    params(("order_id" = String, Path)), responses((status = OK, body = Shown), Refused))]
async fn show(
    State(depot): State<Depot>,
    caller: Caller,
    PathParam(order_id): PathParam,
) -> Result<Json<Shown>, Problem> {
    let shipment = depot.find(&order_id).await?;
    // Until OrderConfirmed has come, it is nobody's.
    let owner = shipment.customer_id.as_deref();
    if !owner.map_or_else(|| caller.is_operator(), |owner| caller.may_see(owner)) {
        return Err(no_such_shipment());
    }
    Ok(Json(Shown {
        shipment_id: shipment_id(&shipment.order_id),
        tracking_no: tracking_no(&shipment.order_id),
        status: shipment.status.name(),
        tracking: shipment.tracking.into_iter().map(Seen::from).collect(),
        order_id: shipment.order_id,
    }))
}

/// The way of a parcel, for everyone who has its number.
#[utoipa::path(get, path = "/api/v1/track/{tracking_no}", operation_id = "track", tag = "shipping",
    params(("tracking_no" = String, Path)), responses((status = OK, body = Way), Refused))]
async fn track(
    State(depot): State<Depot>,
    PathParam(number): PathParam,
) -> Result<Json<Way>, Problem> {
    let shipment = depot.find(&number).await?;
    let tracking_no = tracking_no(&shipment.order_id);
    if tracking_no != number {
        return Err(no_such_shipment()); // it is the order's id
    }
    Ok(Json(Way {
        tracking_no,
        status: shipment.status.name(),
        tracking: shipment.tracking.into_iter().map(Seen::from).collect(),
    }))
}

impl Depot {
    async fn find(&self, name: &str) -> Result<store::Shown, Problem> {
        let shipment = store::show(self.db.reader(), name).await?;
        shipment.ok_or_else(no_such_shipment)
    }
}

fn no_such_shipment() -> Problem {
    Problem::not_found("there is no such shipment")
}

/// What the carrier saw. The header `webhook-id` names the scan.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = Scan)]
struct Told {
    tracking_no: String,
    status: Sight,
    location: Option<String>,
    #[schema(format = DateTime)]
    occurred_at: String,
}

#[derive(Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ScannedStatus)]
enum Sight {
    InTransit,
    OutForDelivery,
    Delivered,
    DeliveryFailed,
    Returned,
}

impl From<Sight> for ShipmentStatus {
    fn from(sight: Sight) -> Self {
        match sight {
            Sight::InTransit => Self::InTransit,
            Sight::OutForDelivery => Self::OutForDelivery,
            Sight::Delivered => Self::Delivered,
            Sight::DeliveryFailed => Self::DeliveryFailed,
            Sight::Returned => Self::Returned,
        }
    }
}

/// What became of a scan.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ScanReceipt)]
struct Receipt {
    tracking_no: String,
    /// Where the parcel is, as far as is known.
    status: &'static str,
    /// Whether this scan moved it.
    moved: bool,
}

/// The carrier's webhook. A scan that comes twice, or behind a newer one, is answered and changes
/// nothing.
#[utoipa::path(post, path = "/api/v1/webhooks/carrier", operation_id = "carrier_webhook", tag = "shipping",
    params(("webhook-id" = String, Header), ("webhook-timestamp" = String, Header), ("webhook-signature" = String, Header)),
    request_body = Told, responses((status = OK, body = Receipt), Refused))]
async fn scanned(State(depot): State<Depot>, told: Signed<Told>) -> Result<Json<Receipt>, Problem> {
    let now = micros_since_epoch(depot.clock.now());
    let scan = read(told, now)?;
    let mut tx = depot.db.begin().await.map_err(Error::from)?;
    let taken = scan::take(&mut tx, &depot.outbox, &scan, now).await?;
    let (status, moved) = match taken {
        Taken::Moved(status) => (status, true),
        Taken::Nothing(status) => (status, false),
        Taken::Unknown => return Err(no_such_shipment()),
        Taken::NotLeft(status) => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "shipment.not_dispatched",
                "The carrier does not have the parcel",
                format!("it is {}", status.name()),
            ));
        }
    };
    depot.db.commit(tx).await.map_err(Error::from)?;
    Ok(Json(Receipt {
        tracking_no: scan.tracking_no,
        status: status.name(),
        moved,
    }))
}

fn read(Signed { id, body }: Signed<Told>, now: i64) -> Result<Scan, Problem> {
    let wrong = |detail: &str| {
        let title = "The scan cannot be taken";
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-scan",
            title,
            detail,
        )
    };
    let occurred_at = from_rfc3339(&body.occurred_at);
    let occurred_at = occurred_at.ok_or_else(|| wrong("occurred_at: expected RFC 3339"))?;
    if !(0..=now.saturating_add(AHEAD)).contains(&occurred_at) {
        return Err(wrong("occurred_at: it is not the time of a scan"));
    }
    let location = body.location.as_deref().unwrap_or_default();
    if location.chars().any(char::is_control) || location.chars().count() > LONGEST_LOCATION {
        return Err(wrong("location: at most 100 printable characters"));
    }
    if body.tracking_no.contains('\0') {
        return Err(no_such_shipment());
    }
    Ok(Scan {
        id,
        tracking_no: body.tracking_no,
        status: body.status.into(),
        location: body.location,
        occurred_at,
    })
}
