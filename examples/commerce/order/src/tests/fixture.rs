//! The service's routes and handlers on a database of the test's own.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use commerce_chassis::{
    Caller, Connection, Db, Deployment, ON_A_SERVER, ServiceBuilder, Storage, StorageSettings,
    send_as,
};
use commerce_contracts::{
    Currency, DeclineStage, DispatchShipment, Money, OrderId, PaymentAuthorized, PaymentCaptured,
    PaymentDeclined, PaymentRefunded, RefundKind, ReleaseCause, ShipmentStatus,
    ShipmentStatusChanged, StockReleased, StockReserved,
};
use mainstay_database::Transactions as _;
use mainstay_inbox::{HandlerError, Handlers};
use mainstay_messaging::{
    Delivery, Event, Message, Partition, Position, Topic,
    broker::Content,
    envelope::read,
    event::{AnyEvent, decode},
};
use mainstay_testkit::postgres::{Server, TestDatabase, URL};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::{MIGRATIONS, handlers, http, orders::Orders, runs, saga};

pub(super) struct Fixture {
    pub(super) db: Db,
    pub(super) orders: Orders,
    router: Router,
    handlers: Handlers<Connection, handlers::Context>,
    _directory: TempDir,
    _database: Option<TestDatabase>,
}

impl Fixture {
    /// None if the build needs a server and there is none.
    pub(super) async fn open() -> Option<Self> {
        let mut database = None;
        if ON_A_SERVER {
            let server = Server::for_suite("commerce-order")?;
            database = Some(server.database().await.unwrap());
        }
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::new(&StorageSettings {
            data: directory.path().to_owned(),
            postgres: database.as_ref().and_then(|_| std::env::var(URL).ok()),
            postgres_prefix: database.as_ref().map(|it| it.name().to_owned()),
            ..StorageSettings::default()
        });
        let deployment = Deployment::open(storage.unwrap()).await.unwrap();
        // The prefix is the whole name of the database.
        let builder = ServiceBuilder::open(&deployment, "", &MIGRATIONS).await;
        let mut builder = builder.unwrap();
        let orders = Orders::new(builder.streams().await.unwrap(), builder.outbox().clone());
        let sagas = builder.sagas().await.unwrap();
        let saga = saga::orchestrator(sagas, orders.clone()).unwrap();
        let (db, records) = (builder.db().clone(), builder.records().await.unwrap());
        let router = http::router(db.clone(), records, saga.clone(), orders.clone());
        let router = router.merge(runs::router(saga.desk()));
        Some(Self {
            router: router.split_for_parts().0,
            handlers: handlers::handlers(saga, orders.clone()),
            db,
            orders,
            _directory: directory,
            _database: database,
        })
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (status, body) = self.send(request).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(super) async fn text(&self, path: &str) -> String {
        let request = Request::get(path).header(header::ACCEPT, "text/plain");
        let request = request.body(Body::empty()).unwrap();
        self.send(request).await.1
    }

    pub(super) async fn cancel(&self, order: &str) -> (StatusCode, Value) {
        let request = Request::post(format!("/api/v1/orders/{order}/cancel"));
        let (status, body) = self.send(request.body(Body::empty()).unwrap()).await;
        (status, serde_json::from_str(&body).unwrap())
    }

    /// Asks for one piece of SKU-001.
    pub(super) async fn ask(&self, key: &str) -> (StatusCode, Value) {
        let body = wanted("SKU-001");
        self.ask_for(Caller::anybody(), key, &body).await
    }

    pub(super) async fn ask_for(
        &self,
        caller: Caller,
        key: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let request = Request::post("/api/v1/orders")
            .header("idempotency-key", key)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()));
        let (status, body) = self.send_of(caller, request.unwrap()).await;
        (status, serde_json::from_str(&body).unwrap())
    }

    /// The id of a new order.
    pub(super) async fn place(&self) -> String {
        let (status, answer) = self.ask("k").await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        answer["order_id"].as_str().unwrap().to_owned()
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, String) {
        self.send_of(Caller::anybody(), request).await
    }

    /// Sends a request of somebody.
    pub(super) async fn send_of(
        &self,
        caller: Caller,
        mut request: Request<Body>,
    ) -> (StatusCode, String) {
        send_as(&mut request, caller);
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.into()).unwrap())
    }

    /// Gives the handlers a message, in a transaction as the worker does.
    pub(super) async fn handle(&self, message: Message) -> Result<(), HandlerError> {
        let partition = Partition {
            topic: message.topic.clone(),
            number: 0,
        };
        let position = Position {
            partition,
            offset: 0,
        };
        let content = Content::Message(message);
        let delivery = Delivery { position, content };
        let mut tx = self.db.begin().await?;
        self.handlers.run(&mut tx, &delivery).await?;
        Ok(self.db.commit(tx).await?)
    }

    /// Answers the newest message, which is a command.
    pub(super) async fn answer(&self, order: &str) {
        let command = self.newest().await;
        let reply = reply(&command, order);
        self.handle(reply).await.unwrap();
    }

    /// Answers so many commands, one after the other.
    pub(super) async fn answer_many(&self, order: &str, commands: usize) {
        for _ in 0..commands {
            self.answer(order).await;
        }
    }

    /// The newest command. An event may be behind it.
    pub(super) async fn newest(&self) -> Message {
        let messages = self.messages().await;
        let mut commands = messages.into_iter().rev();
        commands
            .find(|message| message.topic.as_str().ends_with("-commands"))
            .unwrap()
    }

    /// Everything that was emitted.
    pub(super) async fn messages(&self) -> Vec<Message> {
        let rows = sqlx::query_as("SELECT topic, envelope, payload FROM outbox ORDER BY position");
        let rows: Vec<(String, String, Option<Vec<u8>>)> =
            rows.fetch_all(self.db.reader()).await.unwrap();
        let message = |(topic, envelope, payload): (String, String, Option<Vec<u8>>)| {
            let topic = Topic::new(topic).unwrap();
            read(&envelope, topic, None, payload.map(Into::into)).unwrap()
        };
        rows.into_iter().map(message).collect()
    }

    /// The one event of this type that was emitted.
    pub(super) async fn emitted<E: Event>(&self) -> E {
        let mut messages = self.messages().await;
        messages.retain(|message| message.kind.as_str() == E::KIND);
        assert_eq!(messages.len(), 1, "{}", E::KIND);
        decode(&messages[0]).unwrap()
    }
}

/// A request for one piece.
pub(super) fn wanted(sku: &str) -> Value {
    json!({
        "customer_id": "cust-001",
        "currency": "EUR",
        "lines": [{"sku": sku, "quantity": 1}],
        "payment_method": "pm_ok",
        "ship_to": {"name": "Ada", "street": "1 Row", "city": "Bern", "postcode": "3000", "country": "CH"},
    })
}

pub(super) fn message(event: &dyn AnyEvent, causation_id: Option<&str>) -> Message {
    let message = Message::builder().source("/test").event(event).id("reply");
    let mut message = message.build().unwrap();
    message.causation_id = causation_id.map(str::to_owned);
    message
}

/// What the participant answers if all goes well.
fn reply(command: &Message, order: &str) -> Message {
    let order_id = OrderId::new(order);
    let event: Box<dyn AnyEvent> = match command.kind.as_str() {
        "ReserveStock" | "ExtendReservation" => Box::new(StockReserved {
            reservation_id: "res".to_owned(),
            order_id,
            lines: Vec::new(),
            expires_at: None,
        }),
        "ReleaseStock" => Box::new(StockReleased {
            reservation_id: "res".to_owned(),
            order_id,
            cause: ReleaseCause::Compensation,
            lines: Vec::new(),
        }),
        "AuthorizePayment" => Box::new(PaymentAuthorized {
            payment_id: "pay".to_owned(),
            order_id,
            amount_minor: Money::ZERO,
            currency: Currency::Eur,
            provider: "psp".to_owned(),
            provider_ref: "1".to_owned(),
            auth_expires_at: 0,
        }),
        "VoidOrRefundPayment" => Box::new(PaymentRefunded {
            payment_id: "pay".to_owned(),
            order_id,
            refund_id: "2".to_owned(),
            kind: RefundKind::Void,
            amount_minor: Money::ZERO,
            cumulative_refunded_minor: Money::ZERO,
            reason: "the order is cancelled".to_owned(),
            return_id: None,
        }),
        "CapturePayment" => Box::new(PaymentCaptured {
            payment_id: "pay".to_owned(),
            order_id,
            capture_id: "3".to_owned(),
            amount_minor: Money::ZERO,
            cumulative_captured_minor: Money::ZERO,
        }),
        "CancelShipment" => Box::new(moved(order, ShipmentStatus::Cancelled)),
        "PrepareShipment" => Box::new(moved(order, ShipmentStatus::Packed)),
        DispatchShipment::KIND => Box::new(moved(order, ShipmentStatus::Dispatched)),
        other => panic!("{other} is no command"),
    };
    message(&*event, Some(command.id.as_str()))
}

pub(super) fn moved(order: &str, to: ShipmentStatus) -> ShipmentStatusChanged {
    ShipmentStatusChanged {
        shipment_id: "s".to_owned(),
        order_id: OrderId::new(order),
        tracking_no: "t".to_owned(),
        carrier: "c".to_owned(),
        from: ShipmentStatus::Created,
        to,
        location: None,
        occurred_at: 0,
    }
}

/// The provider refuses for good.
pub(super) fn declined(order: &str, stage: DeclineStage) -> PaymentDeclined {
    PaymentDeclined {
        payment_id: "pay".to_owned(),
        order_id: OrderId::new(order),
        stage,
        code: "declined".to_owned(),
        retryable: false,
        attempt: 1,
    }
}
