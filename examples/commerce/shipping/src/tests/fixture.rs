//! The service's handlers on a database of the test's own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
};
use commerce_chassis::{
    Caller, Connection, Db, Deployment, ON_A_SERVER, Outbox, Participant, ServiceBuilder, Storage,
    StorageSettings, WebhookSecret, send_as,
};
use commerce_contracts::{OrderId, ShipmentStatus};
use mainstay_clock::Clock;
use mainstay_database::Transactions as _;
use mainstay_inbox::{HandlerError, Handlers};
use mainstay_messaging::{
    Delivery, Event, Message, Partition, Position, Topic,
    broker::Content,
    envelope::{micros_since_epoch, read},
    event::decode,
};
use mainstay_testkit::postgres::{Server, TestDatabase, URL};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::{
    MIGRATIONS,
    carrier::Carrier,
    handlers::{Shipping, handlers},
    http,
    scan::{Scan, Taken, take},
};

pub(super) struct Fixture {
    pub(super) db: Db,
    pub(super) kit: Participant,
    router: Router,
    secret: WebhookSecret,
    clock: Arc<dyn Clock>,
    outbox: Outbox,
    carrier: Carrier,
    handlers: Handlers<Connection, Shipping>,
    now: AtomicI64,
    _directory: TempDir,
    _database: Option<TestDatabase>,
}

impl Fixture {
    /// None if the build needs a server and there is none.
    pub(super) async fn open() -> Option<Self> {
        let mut database = None;
        if ON_A_SERVER {
            let server = Server::for_suite("commerce-shipping")?;
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
        let kit = builder.participant().await.unwrap();
        let secret = deployment.webhook_secrets().carrier.clone();
        let (router, _) = http::router(&builder, secret.clone()).split_for_parts();
        Some(Self {
            router,
            secret,
            clock: Arc::clone(builder.clock()),
            outbox: builder.outbox().clone(),
            handlers: handlers(Shipping::new(&builder, kit.clone())),
            carrier: Carrier::new(&builder, kit.clone()),
            kit,
            now: micros_since_epoch(builder.clock().now()).into(),
            db: builder.db().clone(),
            _directory: directory,
            _database: database,
        })
    }

    pub(super) async fn handle(&self, id: &str, event: &impl Event) {
        self.try_handle(id, event).await.unwrap();
    }

    pub(super) async fn try_handle<E: Event>(
        &self,
        id: &str,
        event: &E,
    ) -> Result<(), HandlerError> {
        let mut tx = self.db.begin().await?;
        self.handlers.run(&mut tx, &delivery(id, event)).await?;
        Ok(self.db.commit(tx).await?)
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

    /// The one answer to a command.
    pub(super) async fn answer<E: Event>(&self, command: &str) -> E {
        let mut messages = self.messages().await;
        messages.retain(|message| message.causation_id.as_deref() == Some(command));
        let [answer] = &messages[..] else {
            panic!("{command} is answered once, and not so: {messages:?}");
        };
        decode(answer).unwrap()
    }

    /// Moves the shipments that are due an hour after the last call.
    pub(super) async fn carry(&self) {
        const HOUR: i64 = 3_600_000_000;
        let now = self.now.fetch_add(HOUR, Ordering::Relaxed) + HOUR;
        let mut tx = self.db.begin().await.unwrap();
        self.carrier.move_due(&mut tx, now).await.unwrap();
        self.db.commit(tx).await.unwrap();
    }

    /// The same, again and again: on a server, a failed transaction keeps its locks for a moment.
    pub(super) async fn carry_until(&self, order_id: &OrderId, status: ShipmentStatus) {
        while !self.statuses(order_id).await.contains(&status) {
            self.carry().await;
        }
    }

    /// What the carrier does so much later than now.
    pub(super) async fn carry_after(&self, wait: Duration) {
        let now = micros_since_epoch(self.clock.now() + wait);
        let mut tx = self.db.begin().await.unwrap();
        self.carrier.move_due(&mut tx, now).await.unwrap();
        self.db.commit(tx).await.unwrap();
    }

    /// The statuses that an order's shipment has had, by rank: its carrier is hours ahead.
    pub(super) async fn statuses(&self, order_id: &OrderId) -> Vec<ShipmentStatus> {
        let shown = crate::store::show(self.db.reader(), order_id.as_str()).await;
        let Some(shown) = shown.unwrap() else {
            return Vec::new();
        };
        let tracking = shown.tracking.iter();
        let statuses = tracking.map(|seen| ShipmentStatus::from_name(&seen.status).unwrap());
        let mut statuses: Vec<_> = statuses.collect();
        statuses.sort_unstable();
        assert_eq!(statuses.last(), Some(&shown.status));
        statuses
    }

    /// What the carrier's scan leads to, at the time of the carrier.
    pub(super) async fn scan(&self, id: &str, status: ShipmentStatus) -> Taken {
        let now = self.now.load(Ordering::Relaxed);
        let scan = Scan {
            id: id.to_owned(),
            tracking_no: "MSO".to_owned(),
            status,
            location: Some("Hamburg".to_owned()),
            occurred_at: now,
        };
        let mut tx = self.db.begin().await.unwrap();
        let taken = take(&mut tx, &self.outbox, &scan, now).await.unwrap();
        self.db.commit(tx).await.unwrap();
        taken
    }

    /// A request to the service as `caller`: status and body.
    pub(super) async fn request(&self, mut request: Request, caller: Caller) -> (u16, Value) {
        send_as(&mut request, caller);
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    pub(super) async fn get(&self, path: &str, caller: Caller) -> (u16, Value) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.request(request, caller).await
    }

    /// A webhook of the carrier, signed with its secret.
    pub(super) async fn webhook(&self, id: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let mut request = Request::post("/api/v1/webhooks/carrier");
        let headers = request.headers_mut().unwrap();
        headers.extend(self.secret.sign(id, self.clock.now(), body.as_bytes()));
        let request = request.body(body.into()).unwrap();
        self.request(request, Caller::customer("nobody")).await
    }
}

fn delivery(id: &str, event: &impl Event) -> Delivery {
    let message = Message::builder().source("/test").event(event).id(id);
    let message = message.build().unwrap();
    let partition = Partition {
        topic: message.topic.clone(),
        number: 0,
    };
    let position = Position {
        partition,
        offset: 0,
    };
    Delivery {
        position,
        content: Content::Message(message),
    }
}
