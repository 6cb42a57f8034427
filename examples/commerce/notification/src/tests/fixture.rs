//! The service's handlers and its sender on a database of the test's own.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode},
};
use commerce_chassis::{
    Caller, Connection, Db, Deployment, ON_A_SERVER, Remote, ServiceBuilder, Storage,
    StorageSettings, send_as,
};
use commerce_contracts::{
    Address, Channel, Currency, Money, OrderConfirmed, OrderId, OrderLine, PaymentRefunded,
    RefundKind, ShipmentStatus, ShipmentStatusChanged, Sku, UserChanged, UserStatus,
};
use mainstay_database::Transactions as _;
use mainstay_inbox::{HandlerError, Handlers};
use mainstay_messaging::{
    Delivery as Read, Event, Message, Partition, Position, broker::Content,
    envelope::micros_since_epoch,
};
use mainstay_testkit::postgres::{Server, TestDatabase, URL};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::{
    MIGRATIONS,
    handlers::{Desk, handlers},
    http,
    sender::Sender,
    sink::{Delivery, Files, Sink, Sinks, Undelivered},
    texts::Texts,
};

pub(super) struct Fixture {
    pub(super) db: Db,
    /// Writes files.
    pub(super) sender: Sender,
    /// Sends to `sink`.
    pub(super) scripted: Sender,
    pub(super) sink: Arc<Scripted>,
    /// Has a template that names what is not given.
    pub(super) broken: Handlers<Connection, Desk>,
    handlers: Handlers<Connection, Desk>,
    router: Router,
    now: AtomicI64,
    directory: TempDir,
    _database: Option<TestDatabase>,
}

impl Fixture {
    /// None if the build needs a server and there is none.
    pub(super) async fn open() -> Option<Self> {
        let mut database = None;
        if ON_A_SERVER {
            let server = Server::for_suite("commerce-notification")?;
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
        let builder = builder.unwrap();
        let files = Arc::new(Files::new(directory.path().join("mails")));
        let sink = Arc::new(Scripted::default());
        let broken = Texts::of(&[("en/confirmed", "Your {{ oder_id }}\n")]);
        Some(Self {
            handlers: handlers(Desk::new(&builder, Texts::load().unwrap())),
            router: http::router(&builder).split_for_parts().0,
            broken: handlers(Desk::new(&builder, broken.unwrap())),
            sender: Sender::new(&builder, sinks(files)),
            scripted: Sender::new(&builder, sinks(sink.clone())),
            sink,
            now: (micros_since_epoch(builder.clock().now()) + 1_000_000).into(),
            db: builder.db().clone(),
            directory,
            _database: database,
        })
    }

    pub(super) async fn handle(&self, id: &str, event: &impl Event) {
        self.try_handle(id, event).await.unwrap();
    }

    pub(super) async fn try_handle(
        &self,
        id: &str,
        event: &impl Event,
    ) -> Result<(), HandlerError> {
        self.run(&self.handlers, id, event).await
    }

    /// The handlers with other texts.
    pub(super) async fn run(
        &self,
        handlers: &Handlers<Connection, Desk>,
        id: &str,
        event: &impl Event,
    ) -> Result<(), HandlerError> {
        let mut tx = self.db.begin().await?;
        handlers.run(&mut tx, &read(id, event)).await?;
        Ok(self.db.commit(tx).await?)
    }

    /// Sends what is due a while after the last call, and records the outcomes.
    pub(super) async fn send(&self) {
        self.send_with(&self.sender).await;
    }

    pub(super) async fn send_with(&self, sender: &Sender) {
        const WHILE: i64 = 600_000_000;
        let now = self.now.fetch_add(WHILE, Ordering::Relaxed);
        let outcomes = sender.send(now).await.unwrap();
        let mut tx = self.db.begin().await.unwrap();
        sender.record(&mut tx, outcomes, now).await.unwrap();
        self.db.commit(tx).await.unwrap();
    }

    pub(super) fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    pub(super) fn mails(&self) -> PathBuf {
        self.directory.path().join("mails")
    }

    /// The files of the mails, by name.
    pub(super) fn files(&self) -> BTreeMap<String, String> {
        let Ok(files) = std::fs::read_dir(self.mails()) else {
            return BTreeMap::new();
        };
        let files = files.map(|file| {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, std::fs::read_to_string(file.path()).unwrap())
        });
        files.collect()
    }

    /// The notifications of a user, from the newest to the oldest.
    pub(super) async fn list(&self, user: &str) -> Vec<Value> {
        let path = format!("/api/v1/notifications?user={user}");
        let (status, mut answer) = self.ask(Method::GET, &path, None).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        match answer["notifications"].take() {
            Value::Array(notifications) => notifications,
            other => panic!("{other}"),
        }
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        self.ask_as(Caller::anybody(), method, path, body).await
    }

    pub(super) async fn ask_as(
        &self,
        caller: Caller,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json");
        let mut request = request.body(body).unwrap();
        send_as(&mut request, caller);
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }
}

fn sinks(sink: Arc<Sink>) -> Sinks {
    Sinks {
        email: Arc::clone(&sink),
        sms: sink,
    }
}

/// A sink that answers as it is told, and otherwise takes everything.
#[derive(Default)]
pub(super) struct Scripted {
    pub(super) answers: Mutex<VecDeque<Undelivered>>,
    pub(super) taken: Mutex<Vec<Delivery>>,
}

#[async_trait]
impl Remote for Scripted {
    type Call = Vec<Delivery>;
    type Answer = Vec<Result<(), Undelivered>>;

    async fn call(&self, deliveries: Vec<Delivery>) -> Self::Answer {
        let mut answers = self.answers.lock().unwrap();
        let answer = |delivery: Delivery| {
            if let Some(failure) = answers.pop_front() {
                return Err(failure);
            }
            self.taken.lock().unwrap().push(delivery);
            Ok(())
        };
        deliveries.into_iter().map(answer).collect()
    }
}

fn read(id: &str, event: &impl Event) -> Read {
    let message = Message::builder().source("/test").event(event).id(id);
    let message = message.build().unwrap();
    let partition = Partition {
        topic: message.topic.clone(),
        number: 0,
    };
    Read {
        position: Position {
            partition,
            offset: 0,
        },
        content: Content::Message(message),
    }
}

pub(super) fn confirmed(order_id: &str, customer_id: &str) -> OrderConfirmed {
    let amount = |minor| Money::from_minor(minor).unwrap();
    OrderConfirmed {
        order_id: OrderId::new(order_id),
        customer_id: customer_id.to_owned(),
        total_minor: amount(2_599),
        currency: Currency::Eur,
        payment_id: "pay".to_owned(),
        reservation_id: "res".to_owned(),
        lines: vec![OrderLine {
            line_no: 1,
            sku: Sku::new("SKU-001"),
            qty: 2,
            unit_price_minor: amount(1_000),
            tax_minor: amount(599),
        }],
        ship_to: Address {
            name: "Ada".to_owned(),
            street: "Street 1".to_owned(),
            city: "Berlin".to_owned(),
            postcode: "10115".to_owned(),
            country: "DE".to_owned(),
        },
    }
}

pub(super) fn moved(order_id: &str, to: ShipmentStatus) -> ShipmentStatusChanged {
    ShipmentStatusChanged {
        shipment_id: "shp".to_owned(),
        order_id: OrderId::new(order_id),
        tracking_no: "MS17".to_owned(),
        carrier: "simulated".to_owned(),
        from: ShipmentStatus::Created,
        to,
        location: None,
        occurred_at: 0,
    }
}

pub(super) fn refunded(order_id: &str, kind: RefundKind, minor: i64) -> PaymentRefunded {
    let amount = Money::from_minor(minor).unwrap();
    PaymentRefunded {
        payment_id: "pay".to_owned(),
        order_id: OrderId::new(order_id),
        refund_id: "ref".to_owned(),
        kind,
        amount_minor: amount,
        cumulative_refunded_minor: amount,
        reason: "returned".to_owned(),
        return_id: None,
    }
}

pub(super) fn user(user_id: &str, version: i64, name: &str) -> UserChanged {
    UserChanged {
        user_id: user_id.to_owned(),
        email: format!("{user_id}@customers.example"),
        phone: Some("+491701234567".to_owned()),
        display_name: name.to_owned(),
        locale: "de-AT".to_owned(),
        roles: Vec::new(),
        channel_prefs: vec![Channel::Email],
        status: UserStatus::Active,
        version,
    }
}
