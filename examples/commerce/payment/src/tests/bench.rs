//! The service's handlers and rounds, and the provider, on databases of the test's own.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
};
use commerce_chassis::{
    Caller, Connection, Db, Deployment, ON_A_SERVER, Progress, Remote, Round as _, ServiceBuilder,
    Storage, StorageSettings, WebhookSecret, send_as,
};
use commerce_contracts::Currency;
use mainstay_clock::{BootId, Clock, Monotonic};
use mainstay_database::Transactions as _;
use mainstay_idempotency::MemoryLeases;
use mainstay_inbox::{HandlerError, Handlers};
use mainstay_messaging::{
    Delivery, Key, Message, Partition, Position, Topic, broker::Content, envelope,
};
use mainstay_saga::Attempt;
use mainstay_testkit::postgres::{Server, TestDatabase, URL};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;
use tower::ServiceExt as _;

use crate::{
    MIGRATIONS,
    handlers::{Desk, handlers},
    http,
    intent::{Kind, Question},
    leased::Leased,
    outcome::Books,
    psp::{self, Answer, Call, Psp},
    settling::Settling,
    store::{self, Intent},
};

use super::messages::{amount, order_id, to_authorize, to_capture, to_undo};

/// A clock that is put forward by hand.
#[derive(Debug)]
struct HandClock(Mutex<SystemTime>);

impl Clock for HandClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_micros(0)
    }

    fn boot_id(&self) -> BootId {
        BootId::new("test")
    }
}

pub(super) struct Bench {
    db: Db,
    psp: Psp,
    desk: Desk,
    clock: Arc<HandClock>,
    handlers: Handlers<Connection, Desk>,
    settling: Settling<Psp>,
    router: Router,
    secret: WebhookSecret,
    /// Messages that were handled, as an inbox knows.
    handled: Mutex<HashSet<String>>,
    /// Messages that were read from the outbox.
    read: Mutex<usize>,
    _directory: TempDir,
    owned: Option<TestDatabase>,
}

impl Bench {
    /// None: the build needs a server, and there is none.
    pub(super) async fn open() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = StorageSettings {
            data: directory.path().to_owned(),
            ..StorageSettings::default()
        };
        let mut owned = None;
        // On a server the service and the provider share the test's one database.
        let (name, psp_name) = if ON_A_SERVER {
            let server = Server::for_suite("commerce-payment")?;
            let database = server.database().await.unwrap();
            settings.postgres = std::env::var(URL).ok();
            settings.postgres_prefix = Some(database.name().to_owned());
            owned = Some(database);
            ("", "")
        } else {
            ("payment", "psp")
        };
        let deployment = Deployment::open(Storage::new(&settings).unwrap())
            .await
            .unwrap();
        let mut builder = ServiceBuilder::open(&deployment, name, &MIGRATIONS)
            .await
            .unwrap();
        let records = builder.records().await.unwrap();
        let clock = Arc::new(HandClock(Mutex::new(UNIX_EPOCH)));
        let kit = builder.participant().await.unwrap();
        let desk = Desk {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ..Desk::new(&builder, kit)
        };
        let psp = psp::open(&deployment, psp_name).await.unwrap();
        let db = builder.db().clone();
        let secret = deployment.webhook_secrets().psp.clone();
        let counter = http::Counter {
            books: books(&db, &desk),
            records,
            psp: secret.clone(),
            work: Arc::default(),
        };
        let (router, _) = http::router(counter).split_for_parts();
        Some(Self {
            router,
            secret,
            settling: settling(&db, &desk, psp.clone()),
            handlers: handlers(desk.clone()),
            db,
            psp,
            desk,
            clock,
            handled: Mutex::default(),
            read: Mutex::default(),
            _directory: directory,
            owned,
        })
    }

    pub(super) async fn close(self) {
        if let Some(owned) = self.owned {
            owned.close().await.unwrap();
        }
    }

    /// Hands a message to its handler, as the worker does; once, as the inbox does.
    pub(super) async fn try_handle(&self, message: &Message) -> Result<(), HandlerError> {
        if self.handled.lock().unwrap().contains(message.id.as_str()) {
            return Ok(());
        }
        let partition = Partition {
            topic: message.topic.clone(),
            number: 0,
        };
        let delivery = Delivery {
            position: Position {
                partition,
                offset: 0,
            },
            content: Content::Message(message.clone()),
        };
        let mut tx = self.db.begin().await.unwrap();
        self.handlers.run(&mut tx, &delivery).await?;
        self.db.commit(tx).await.unwrap();
        let id = message.id.as_str().to_owned();
        self.handled.lock().unwrap().insert(id);
        Ok(())
    }

    pub(super) async fn handle(&self, message: Message) {
        self.try_handle(&message).await.unwrap();
    }

    /// Settles until nothing is left to do. Answers with the new messages.
    pub(super) async fn settle(&self) -> Vec<Message> {
        while self.settling.round().await.unwrap() != Progress::Idle {
            self.clock_forward();
        }
        self.emitted().await
    }

    /// Runs so many rounds, each long after the one before.
    pub(super) async fn rounds(&self, rounds: usize) -> Vec<Message> {
        for _ in 0..rounds {
            let _progress = self.settling.round().await.unwrap();
            self.clock_forward();
        }
        self.emitted().await
    }

    /// Further than any intent waits.
    fn clock_forward(&self) {
        *self.clock.0.lock().unwrap() += Duration::from_secs(120);
    }

    /// The messages that were put into the outbox since the last call.
    pub(super) async fn emitted(&self) -> Vec<Message> {
        let rows: Vec<(String, String, String, Vec<u8>)> =
            sqlx::query_as("SELECT topic, key, envelope, payload FROM outbox ORDER BY position")
                .fetch_all(self.db.reader())
                .await
                .unwrap();
        let messages = rows.into_iter().map(|(topic, key, envelope, payload)| {
            let (topic, key) = (Topic::new(topic).unwrap(), Key::new(key).unwrap());
            envelope::read(&envelope, topic, Some(key), Some(payload.into())).unwrap()
        });
        let mut messages: Vec<Message> = messages.collect();
        let mut read = self.read.lock().unwrap();
        let new = messages.split_off(*read);
        *read += new.len();
        new
    }

    pub(super) async fn authorize(&self, method: &str, attempt: Attempt) -> Vec<Message> {
        self.handle(to_authorize(method, attempt)).await;
        self.settle().await
    }

    pub(super) async fn capture(&self) -> Vec<Message> {
        self.handle(to_capture()).await;
        self.settle().await
    }

    pub(super) async fn undo(&self) -> Vec<Message> {
        self.handle(to_undo()).await;
        self.settle().await
    }

    /// Another process, whose calls to the provider are held at a point until `go`.
    pub(super) fn far_away(&self, held: Held) -> (Settling<FarAway>, Arc<Notify>, Arc<Notify>) {
        let (reached, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let provider = FarAway {
            psp: self.psp.clone(),
            held,
            reached: Arc::clone(&reached),
            go: Arc::clone(&go),
        };
        (settling(&self.db, &self.desk, provider), reached, go)
    }

    /// Calls the provider past the service, with a fencing token and an effect key.
    pub(super) async fn call(&self, kind: Kind, effect_key: &str, fence: i64) -> Option<Answer> {
        let call = Call {
            question: Question::Ask,
            kind,
            effect_key: effect_key.to_owned(),
            order_id: order_id(),
            amount: amount(),
            currency: Currency::Eur,
            payment_method: "pm_flaky".to_owned(),
            fence,
        };
        self.psp.call(call).await
    }

    pub(super) async fn status(&self) -> String {
        sqlx::query_scalar("SELECT status FROM payments")
            .fetch_one(self.db.reader())
            .await
            .unwrap()
    }

    /// The balance of an account of the ledger, each of whose operations sums to zero.
    pub(super) async fn balance(&self, account: &str) -> i64 {
        let entries: Vec<(String, String, i64)> =
            sqlx::query_as("SELECT operation, account, amount_minor FROM ledger_entries")
                .fetch_all(self.db.reader())
                .await
                .unwrap();
        let mut sums = std::collections::HashMap::<&str, i64>::new();
        for (operation, _, amount) in &entries {
            *sums.entry(operation).or_default() += amount;
        }
        assert!(sums.values().all(|sum| *sum == 0), "{entries:?}");
        let of_account = entries.iter().filter(|(_, name, _)| name == account);
        of_account.map(|(_, _, amount)| amount).sum()
    }

    /// The provider's operations in their order.
    pub(super) async fn at_provider(&self) -> Vec<(String, i64)> {
        sqlx::query_as("SELECT kind, amount_minor FROM operations ORDER BY done_at, kind")
            .fetch_all(self.psp.db.reader())
            .await
            .unwrap()
    }

    /// Makes every operation of the provider older than a hold lasts.
    pub(super) async fn age_at_provider(&self) {
        let aged = sqlx::query("UPDATE operations SET done_at = 0");
        let mut tx = self.psp.db.begin().await.unwrap();
        aged.execute(&mut *tx).await.unwrap();
        self.psp.db.commit(tx).await.unwrap();
    }

    /// Makes the operation of an order one whose outcome cannot be written.
    pub(super) async fn damage(&self, order: &str) {
        let mut tx = self.db.begin().await.unwrap();
        let damaging = sqlx::query("UPDATE intents SET task = '{}' WHERE order_id = $1");
        damaging.bind(order).execute(&mut *tx).await.unwrap();
        self.db.commit(tx).await.unwrap();
    }

    /// The answers to keys are kept for a day: it has passed.
    pub(super) async fn forget_answers(&self) {
        let mut tx = self.db.begin().await.unwrap();
        let forgetting = sqlx::query("DELETE FROM idempotency_records").execute(&mut *tx);
        forgetting.await.unwrap();
        self.db.commit(tx).await.unwrap();
    }

    /// The intents that are due, as a process of its own reads them.
    pub(super) async fn due(&self) -> Vec<Intent> {
        let due = store::due(self.db.reader(), self.desk.now(), 10);
        due.await.unwrap()
    }

    /// As the process that has read the intent.
    pub(super) async fn settle_one(&self, intent: Intent) {
        self.settling.settle(intent).await.unwrap();
    }

    pub(super) async fn held_at_provider(&self) -> i64 {
        let operations = self.at_provider().await;
        let signed = operations.iter().map(|(kind, amount)| match &**kind {
            "authorize" => *amount,
            "capture" | "void" => -amount,
            _ => 0,
        });
        signed.sum()
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

    /// An operator requests a refund.
    pub(super) async fn refund(&self, key: &str, amount: i64) -> (u16, Value) {
        let body = json!({"amount_minor": amount, "reason": "one was broken"});
        let request = Request::post("/api/v1/payments/order/refunds")
            .header("idempotency-key", key)
            .header("content-type", "application/json");
        let request = request.body(body.to_string().into()).unwrap();
        self.request(request, Caller::operator("op")).await
    }

    /// A webhook of the provider, signed with its secret.
    pub(super) async fn webhook(&self, body: &Value) -> (u16, Value) {
        let (body, now) = (body.to_string(), self.clock.now());
        let mut request = Request::post("/api/v1/webhooks/psp");
        let headers = request.headers_mut().unwrap();
        headers.extend(self.secret.sign("event-1", now, body.as_bytes()));
        let request = request.body(body.into()).unwrap();
        self.request(request, Caller::customer("nobody")).await
    }

    /// How often the provider was requested to authorise.
    pub(super) async fn requested(&self) -> i64 {
        sqlx::query_scalar("SELECT requested FROM orders")
            .fetch_one(self.psp.db.reader())
            .await
            .unwrap()
    }
}

fn books(db: &Db, desk: &Desk) -> Books {
    Books {
        db: db.clone(),
        desk: desk.clone(),
    }
}

/// As a process of its own: with leases of its own.
fn settling<R>(db: &Db, desk: &Desk, provider: R) -> Settling<R>
where
    R: Remote<Call = Call, Answer = Option<Answer>>,
{
    Settling {
        books: books(db, desk),
        provider: Leased::new(provider, Arc::new(MemoryLeases::new())),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Held {
    Request,
    Answer,
}

/// The provider, with calls that are held at a point.
pub(super) struct FarAway {
    psp: Psp,
    held: Held,
    reached: Arc<Notify>,
    go: Arc<Notify>,
}

impl FarAway {
    async fn hold(&self, point: Held) {
        if self.held == point {
            self.reached.notify_one();
            self.go.notified().await;
        }
    }
}

#[async_trait]
impl Remote for FarAway {
    type Call = Call;
    type Answer = Option<Answer>;

    async fn call(&self, call: Call) -> Option<Answer> {
        self.hold(Held::Request).await;
        let answer = self.psp.call(call).await;
        self.hold(Held::Answer).await;
        answer
    }
}
