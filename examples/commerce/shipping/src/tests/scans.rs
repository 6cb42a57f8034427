//! The carrier's webhook.

use std::time::Duration;

use axum::{body::Body, extract::Request};
use commerce_chassis::Caller;
use commerce_contracts::{ShipmentStatus as Status, ShipmentStatusChanged};
use mainstay_messaging::event::decode;
use serde_json::json;

use super::{Fixture, confirmed, dispatch, order_id, prepare};
use crate::{scan::Taken, shipment};

/// A shop whose parcel is with the carrier.
async fn dispatched() -> Option<Fixture> {
    dispatched_to("10115").await
}

async fn dispatched_to(postcode: &str) -> Option<Fixture> {
    let shop = Fixture::open().await?;
    shop.handle("r:PrepareShipment:1", &prepare(postcode)).await;
    shop.carry_until(&order_id(), Status::Packed).await;
    shop.handle("r:DispatchShipment:1", &dispatch()).await;
    Some(shop)
}

#[tokio::test]
async fn a_scan_has_its_effect_once_and_no_parcel_moves_backwards() {
    let Some(shop) = dispatched().await else {
        return;
    };
    let moved = Taken::Moved(Status::OutForDelivery);
    assert_eq!(shop.scan("scan-1", Status::OutForDelivery).await, moved);
    let nothing = Taken::Nothing(Status::OutForDelivery);
    assert_eq!(
        shop.scan("scan-0", Status::InTransit).await,
        nothing,
        "late"
    );
    assert_eq!(shop.scan("scan-1", Status::OutForDelivery).await, nothing);
    let fake = shop.scan("scan-1", Status::Delivered).await;
    assert_eq!(fake, nothing, "an id has one effect");
    let delivered = Taken::Moved(Status::Delivered);
    assert_eq!(shop.scan("scan-2", Status::Delivered).await, delivered);
    for (id, status) in [
        ("scan-3", Status::DeliveryFailed),
        ("scan-4", Status::Returned),
    ] {
        assert_eq!(
            shop.scan(id, status).await,
            Taken::Nothing(Status::Delivered)
        );
    }
    for _ in 0..9 {
        shop.carry().await;
    }
    let messages = shop.messages().await;
    let [_, _, message] = &messages[..] else {
        panic!("it is delivered once: {messages:?}");
    };
    let delivered: ShipmentStatusChanged = decode(message).unwrap();
    assert_eq!(
        (delivered.from, delivered.to),
        (Status::OutForDelivery, Status::Delivered)
    );
    assert_eq!(delivered.location.as_deref(), Some("Hamburg"));
}

#[tokio::test]
async fn the_carrier_goes_on_from_where_a_scan_has_overtaken_it() {
    let Some(shop) = dispatched().await else {
        return;
    };
    shop.scan("scan-1", Status::OutForDelivery).await;
    shop.carry_until(&order_id(), Status::Delivered).await;
    let statuses = shop.statuses(&order_id()).await;
    assert!(!statuses.contains(&Status::InTransit), "{statuses:?}");
}

#[tokio::test]
async fn a_parcel_that_nobody_takes_comes_back() {
    let Some(shop) = dispatched().await else {
        return;
    };
    let failed = shop.scan("scan-1", Status::DeliveryFailed).await;
    assert_eq!(failed, Taken::Moved(Status::DeliveryFailed));
    let late = shop.scan("scan-2", Status::Delivered).await;
    assert_eq!(late, Taken::Nothing(Status::DeliveryFailed));
    shop.carry_until(&order_id(), Status::Returned).await;
    let told = shop.messages().await;
    let told = told.iter().skip(2).map(|message| {
        let changed: ShipmentStatusChanged = decode(message).unwrap();
        changed.to
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [Status::DeliveryFailed, Status::Returned]
    );
}

#[tokio::test]
async fn a_scan_before_the_dispatch_counts_when_it_is_sent_again() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let early = shop.scan("scan-1", Status::InTransit).await;
    assert_eq!(early, Taken::Unknown);
    shop.handle("r:PrepareShipment:1", &prepare("10115")).await;
    shop.carry_until(&order_id(), Status::Packed).await;
    let early = shop.scan("scan-1", Status::InTransit).await;
    assert_eq!(early, Taken::NotLeft(Status::Packed));
    shop.handle("r:DispatchShipment:1", &dispatch()).await;
    let moved = Taken::Moved(Status::InTransit);
    assert_eq!(shop.scan("scan-1", Status::InTransit).await, moved);
}

#[tokio::test]
async fn the_webhook_answers_what_became_of_a_scan() {
    let Some(shop) = dispatched().await else {
        return;
    };
    let scan = |status: &str, tracking_no: &str, occurred_at: &str| json!({"tracking_no": tracking_no, "status": status, "location": "Hamburg", "occurred_at": occurred_at});
    let at = "2020-01-01T10:00:00Z";
    let (status, body) = shop.webhook("scan-1", &scan("in_transit", "MSO", at)).await;
    assert_eq!((status, &body["moved"]), (200, &json!(true)));
    let (status, body) = shop.webhook("scan-1", &scan("in_transit", "MSO", at)).await;
    assert_eq!((status, &body["moved"]), (200, &json!(false)));
    for (scan, expected) in [
        (scan("in_transit", "MSX", at), 404),
        (scan("in_transit", "MS\0", at), 404),
        (scan("packed", "MSO", at), 422),
        (scan("in_transit", "MSO", "yesterday"), 422),
        (scan("in_transit", "MSO", "2999-01-01T10:00:00Z"), 422),
        (json!({}), 422),
    ] {
        let (status, problem) = shop.webhook("scan-2", &scan).await;
        assert_eq!(status, expected, "{scan}");
        assert!(problem["type"].is_string(), "{problem}");
    }
    let (status, track) = shop
        .get("/api/v1/track/MSO", Caller::customer("nobody"))
        .await;
    assert_eq!((status, &track["status"]), (200, &json!("in_transit")));
    let seen = track["tracking"].as_array().unwrap();
    let scanned = seen.iter().find(|seen| seen["status"] == "in_transit");
    assert_eq!(scanned.unwrap()["location"], "Hamburg");
    for unknown in ["o", "MSX", "%00"] {
        let (status, _) = shop
            .get(&format!("/api/v1/track/{unknown}"), Caller::anybody())
            .await;
        assert_eq!(status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn without_the_carriers_signature_nothing_happens() {
    let Some(shop) = dispatched().await else {
        return;
    };
    let body =
        json!({"tracking_no": "MSO", "status": "delivered", "occurred_at": "2020-01-01T10:00:00Z"});
    let unsigned = Request::post("/api/v1/webhooks/carrier");
    let unsigned = unsigned.body(Body::from(body.to_string())).unwrap();
    let (status, problem) = shop.request(unsigned, Caller::operator("op")).await;
    assert_eq!(status, 401, "{problem}");
    assert_eq!(problem["type"], "urn:commerce:problem:signature-invalid");
    let (status, _) = shop.get("/api/v1/track/MSO", Caller::anybody()).await;
    assert_eq!(status, 200);
    let statuses = shop.statuses(&order_id()).await;
    assert_eq!(statuses.last(), Some(&Status::Dispatched));
}

#[tokio::test]
async fn a_customer_sees_the_own_shipment_once_the_order_is_confirmed() {
    let Some(shop) = dispatched().await else {
        return;
    };
    let path = "/api/v1/shipments/o";
    let owner = || Caller::customer("cust-001");
    assert_eq!(shop.get(path, owner()).await.0, 404, "it is nobody's yet");
    shop.handle("confirmed", &confirmed()).await;
    assert_eq!(shop.get(path, owner()).await.0, 200);
    assert_eq!(shop.get(path, Caller::operator("op")).await.0, 200);
    let foreign = shop.get(path, Caller::customer("cust-002")).await;
    assert_eq!(foreign.0, 404, "as if there were none");
}

#[tokio::test]
async fn the_carrier_waits_ten_minutes_for_whoever_carries_a_parcel_by_hand() {
    let Some(shop) = dispatched_to("99999").await else {
        return;
    };
    let later = shipment::PATIENCE + Duration::from_secs(60);
    shop.carry_after(Duration::from_secs(300)).await;
    let statuses = shop.statuses(&order_id()).await;
    assert_eq!(statuses.last(), Some(&Status::Dispatched));
    shop.carry_after(later).await;
    let statuses = shop.statuses(&order_id()).await;
    assert_eq!(statuses.last(), Some(&Status::InTransit), "nobody came");

    let others = dispatched().await.unwrap();
    others.carry_after(Duration::from_secs(300)).await;
    let statuses = others.statuses(&order_id()).await;
    assert_eq!(statuses.last(), Some(&Status::InTransit));
}
