//! The projection on a database of the test's own, and the events of some orders.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode},
};
use commerce_chassis::{
    Caller, Db, Deployment, ON_A_SERVER, ServiceBuilder, Storage, StorageSettings, send_as,
};
use commerce_contracts::{
    Address, CancelReason, Currency, DeclineStage, Money, OrderCancelled, OrderCompleted,
    OrderConfirmed, OrderId, OrderLine, OrderPlaced, PaymentAuthorized, PaymentDeclined,
    PaymentRefunded, RefundKind, ShipmentStatus, ShipmentStatusChanged, Shortage, Sku,
    StockReservationFailed,
};
use mainstay_database::Transactions as _;
use mainstay_inbox::Received;
use mainstay_messaging::{Event, Message, Partition, Position};
use mainstay_testkit::postgres::{Server, TestDatabase, URL};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::{MIGRATIONS, check::Comparison, compare, handler, http, rebuild::Rebuild};

pub(super) struct Fixture {
    pub(super) db: Db,
    pub(super) rebuild: Rebuild,
    storage: Storage,
    router: Router,
    _directory: TempDir,
    _database: Option<TestDatabase>,
}

impl Fixture {
    /// None if the build needs a server and there is none.
    pub(super) async fn open() -> Option<Self> {
        let mut database = None;
        if ON_A_SERVER {
            let server = Server::for_suite("commerce-analytics")?;
            database = Some(server.database().await.unwrap());
        }
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::new(&StorageSettings {
            data: directory.path().to_owned(),
            postgres: database.as_ref().and_then(|_| std::env::var(URL).ok()),
            postgres_prefix: database.as_ref().map(|it| it.name().to_owned()),
            redis: None,
        });
        let storage = storage.unwrap();
        let deployment = Deployment::open(storage.clone()).await.unwrap();
        // The prefix is the whole name of the database.
        let builder = ServiceBuilder::open(&deployment, "", &MIGRATIONS).await;
        let builder = builder.unwrap();
        Some(Self {
            router: http::router(&builder, Arc::default()).split_for_parts().0,
            rebuild: Rebuild::new(&builder),
            db: builder.db().clone(),
            storage,
            _directory: directory,
            _database: database,
        })
    }

    /// Projects the messages in one transaction.
    pub(super) async fn project(&self, messages: &[Message]) {
        let received = messages.iter().map(received).collect();
        let mut tx = self.db.begin().await.unwrap();
        handler::project(&mut tx, received).await.unwrap();
        self.db.commit(tx).await.unwrap();
    }

    pub(super) async fn compare(&self) -> Comparison {
        let mut snapshot = self.storage.snapshot("").await.unwrap();
        let comparison = compare(&mut snapshot).await.unwrap();
        snapshot.close().await.unwrap();
        comparison
    }

    /// Counts a page of a rebuild; false: it is over.
    pub(super) async fn page(&self, limit: i64) -> bool {
        let mut tx = self.db.begin().await.unwrap();
        let goes_on = self.rebuild.page(&mut tx, limit).await.unwrap();
        self.db.commit(tx).await.unwrap();
        goes_on
    }

    pub(super) async fn execute(&self, statement: &'static str) {
        let mut tx = self.db.begin().await.unwrap();
        let done = sqlx::query(statement).execute(&mut *tx).await.unwrap();
        assert!(done.rows_affected() > 0, "{statement}");
        self.db.commit(tx).await.unwrap();
    }

    /// The answer as an operator gets it.
    pub(super) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Caller::operator("op"), Method::GET, path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(super) async fn ask(
        &self,
        caller: Caller,
        method: Method,
        path: &str,
    ) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path);
        let mut request = request.body(Body::empty()).unwrap();
        send_as(&mut request, caller);
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

pub(super) fn received(message: &Message) -> Received<()> {
    let partition = Partition {
        topic: message.topic.clone(),
        number: 0,
    };
    let position = Position {
        partition,
        offset: 0,
    };
    Received::new((), message.clone(), position)
}

/// A second of 1970-01-01 is `at`.
fn message(event: &impl Event, at: u64) -> Message {
    let message = Message::builder().source("/test").event(event);
    let message = message.occurred_at(UNIX_EPOCH + Duration::from_secs(at));
    message.build().unwrap()
}

const DAY: u64 = 24 * 60 * 60;

fn money(minor: i64) -> Money {
    Money::from_minor(minor).unwrap()
}

fn lines(number: u64) -> Vec<OrderLine> {
    let line = |line_no, sku: &str, qty| OrderLine {
        line_no,
        sku: Sku::new(sku),
        qty,
        unit_price_minor: money(100),
        tax_minor: money(19),
    };
    let qty = i64::try_from(number % 3).unwrap() + 1;
    vec![
        line(1, "SKU-001", 1),
        line(2, "SKU-002", qty),
        line(3, "SKU-001", 2),
    ]
}

fn address() -> Address {
    Address {
        name: "Ada".to_owned(),
        street: "Street 1".to_owned(),
        city: "Berlin".to_owned(),
        postcode: "10115".to_owned(),
        country: "DE".to_owned(),
    }
}

/// How an order ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Completed,
    OutOfStock,
    Declined,
    Returned,
}

/// All events of an order, in the order in which they happened.
pub(super) fn story(number: u64, end: End) -> Vec<Message> {
    let order_id = OrderId::new(format!("order-{number}"));
    let customer_id = format!("cust-{number:03}");
    let currency = Currency::ALL[usize::try_from(number % 2).unwrap()];
    let (lines, total) = (lines(number), money(1_000));
    let start = number % 3 * DAY + number;
    let moved = |from, to, at: u64| {
        let moved = ShipmentStatusChanged {
            shipment_id: "shp".to_owned(),
            order_id: order_id.clone(),
            tracking_no: "MS".to_owned(),
            carrier: "simulated".to_owned(),
            from,
            to,
            location: None,
            occurred_at: i64::try_from(at).unwrap() * 1_000_000,
        };
        message(&moved, at)
    };
    let cancelled = |code: &str, at| {
        let cancelled = OrderCancelled {
            order_id: order_id.clone(),
            customer_id: customer_id.clone(),
            reason: CancelReason {
                code: code.to_owned(),
                detail: String::new(),
            },
            stage: "placed".to_owned(),
            compensations: Vec::new(),
        };
        message(&cancelled, at)
    };
    let placed = OrderPlaced {
        order_id: order_id.clone(),
        customer_id: customer_id.clone(),
        currency,
        lines: lines.clone(),
        subtotal_minor: total,
        shipping_minor: Money::ZERO,
        tax_minor: Money::ZERO,
        discount_minor: Money::ZERO,
        total_minor: total,
        ship_to: address(),
    };
    let mut story = vec![message(&placed, start)];
    if end == End::OutOfStock {
        let failed = StockReservationFailed {
            order_id: order_id.clone(),
            shortages: vec![Shortage {
                sku: Sku::new("SKU-001"),
                requested: 3,
                available: 0,
            }],
        };
        story.push(message(&failed, start + 1));
        story.push(cancelled("out_of_stock", start + 2));
        return story;
    }
    if end == End::Declined {
        for attempt in 1..=2 {
            let declined = PaymentDeclined {
                payment_id: "pay".to_owned(),
                order_id: order_id.clone(),
                stage: DeclineStage::Authorize,
                code: "declined".to_owned(),
                retryable: attempt < 2,
                attempt,
            };
            story.push(message(&declined, start + u64::from(attempt)));
        }
        story.push(refund(&order_id, RefundKind::Void, 0, start + 3));
        story.push(cancelled("payment_declined", start + 4));
        return story;
    }
    let authorized = PaymentAuthorized {
        payment_id: "pay".to_owned(),
        order_id: order_id.clone(),
        amount_minor: total,
        currency,
        provider: "psp".to_owned(),
        provider_ref: "ref".to_owned(),
        auth_expires_at: 0,
    };
    let confirmed = OrderConfirmed {
        order_id: order_id.clone(),
        customer_id: customer_id.clone(),
        total_minor: total,
        currency,
        payment_id: "pay".to_owned(),
        reservation_id: "res".to_owned(),
        lines: lines.clone(),
        ship_to: address(),
    };
    let completed = OrderCompleted {
        order_id: order_id.clone(),
        customer_id,
        captured_minor: total,
        lines,
        completed_at: i64::try_from(start + 9).unwrap() * 1_000_000,
    };
    story.push(message(&authorized, start + 1));
    story.push(message(&confirmed, start + 2));
    story.push(moved(
        ShipmentStatus::Picked,
        ShipmentStatus::Packed,
        start + 3,
    ));
    story.push(moved(
        ShipmentStatus::Packed,
        ShipmentStatus::Dispatched,
        start + 4,
    ));
    if end == End::Returned {
        let returned = ShipmentStatus::Returned;
        story.push(moved(ShipmentStatus::DeliveryFailed, returned, start + 5));
        for (sum, at) in [(400, start + 6), (1_000, start + 7)] {
            story.push(refund(&order_id, RefundKind::Refund, sum, at));
        }
    } else {
        let delivered = ShipmentStatus::Delivered;
        story.push(moved(ShipmentStatus::OutForDelivery, delivered, start + 5));
    }
    story.push(message(&completed, start + 9));
    story
}

fn refund(order_id: &OrderId, kind: RefundKind, sum: i64, at: u64) -> Message {
    let refunded = PaymentRefunded {
        payment_id: "pay".to_owned(),
        order_id: order_id.clone(),
        refund_id: format!("ref-{sum}"),
        kind,
        amount_minor: money(sum),
        cumulative_refunded_minor: money(sum),
        reason: "returned".to_owned(),
    };
    message(&refunded, at)
}

/// The events of twelve orders.
pub(super) fn stories() -> Vec<Message> {
    let ends = [
        End::Completed,
        End::OutOfStock,
        End::Declined,
        End::Returned,
    ];
    let ends = ends.into_iter().cycle();
    (1..=12)
        .zip(ends)
        .flat_map(|(number, end)| story(number, end))
        .collect()
}

/// The rows of a report by group and currency.
pub(super) fn rows(report: &Value) -> BTreeMap<(String, String), (i64, i64, i64)> {
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    let number = |row: &Value, field: &str| row[field].as_i64().unwrap();
    let row = |row: &Value| {
        let key = (text(row, "group"), text(row, "currency"));
        let (orders, pieces) = (number(row, "orders"), number(row, "pieces"));
        (key, (orders, pieces, number(row, "amount_minor")))
    };
    report["rows"].as_array().unwrap().iter().map(row).collect()
}
