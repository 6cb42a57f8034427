//! The service's handlers on a database of the test's own.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode},
};
use commerce_chassis::{
    Caller, Connection, Db, Deployment, ON_A_SERVER, ServiceBuilder, Storage, StorageSettings,
    send_as,
};
use commerce_contracts::{StockLevelChanged, StockReleased};
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
    expiry::Expiry,
    handlers::{Inventory, handlers},
    http,
};

pub(super) struct Fixture {
    pub(super) db: Db,
    clock: Arc<dyn Clock>,
    expiry: Expiry,
    router: Router,
    pub(super) handlers: Handlers<Connection, Inventory>,
    _directory: TempDir,
    _database: Option<TestDatabase>,
}

impl Fixture {
    /// None if the build needs a server and there is none.
    pub(super) async fn open(hold: Duration) -> Option<Self> {
        let mut database = None;
        if ON_A_SERVER {
            let server = Server::for_suite("commerce-inventory")?;
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
        let records = builder.records().await.unwrap();
        let participant = builder.participant().await.unwrap();
        let inventory = Inventory::new(&builder, hold);
        let router = http::router(builder.db().clone(), records, inventory.clone());
        Some(Self {
            router: router.split_for_parts().0,
            handlers: handlers(&participant, inventory),
            clock: Arc::clone(builder.clock()),
            expiry: Expiry::new(&builder),
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
        messages.retain(|message| {
            message.causation_id.as_deref() == Some(command) && message.kind.as_str() == E::KIND
        });
        let [answer] = &messages[..] else {
            panic!("{command} is answered once, and not so: {messages:?}");
        };
        decode(answer).unwrap()
    }

    /// Ends the holds that have expired so long from now, and returns what it told of them.
    pub(super) async fn expire(&self, after: Duration) -> Vec<StockReleased> {
        let known = self.messages().await.len();
        let now = micros_since_epoch(self.clock.now() + after);
        let mut tx = self.db.begin().await.unwrap();
        self.expiry.end(&mut tx, now).await.unwrap();
        self.db.commit(tx).await.unwrap();
        let messages = self.messages().await;
        let released = messages[known..]
            .iter()
            .filter(|it| it.kind.as_str() == StockReleased::KIND);
        released.map(|it| decode(it).unwrap()).collect()
    }

    /// What customers hear of stock: SKU, pieces that can be ordered, and why.
    pub(super) async fn levels(&self) -> Vec<(String, i64, String)> {
        let mut messages = self.messages().await;
        messages.retain(|message| message.kind.as_str() == StockLevelChanged::KIND);
        let level = |message: &Message| {
            let level: StockLevelChanged = decode(message).unwrap();
            (level.sku.to_string(), level.available, level.cause)
        };
        messages.iter().map(level).collect()
    }

    /// Sends a request of `caller`, with an idempotency key and a body if there are any.
    pub(super) async fn send(
        &self,
        caller: Caller,
        method: Method,
        path: &str,
        keyed: Option<(&str, Value)>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        let mut body = Body::empty();
        if let Some((key, value)) = keyed {
            request = request.header("idempotency-key", key);
            body = Body::from(value.to_string());
        }
        let mut request = request.body(body).unwrap();
        send_as(&mut request, caller);
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// The stock of a SKU: on hand, and reserved. The movements must add up to it.
    pub(super) async fn level(&self, sku: &str) -> (i64, i64) {
        let reader = self.db.reader();
        let level: (i64, i64) =
            sqlx::query_as("SELECT on_hand, reserved FROM stock_items WHERE sku = $1")
                .bind(sku)
                .fetch_one(reader)
                .await
                .unwrap();
        let moved: i64 = sqlx::query_scalar(
            "SELECT CAST(sum(quantity) AS BIGINT) FROM stock_movements WHERE sku = $1",
        )
        .bind(sku)
        .fetch_one(reader)
        .await
        .unwrap();
        assert_eq!(level.0, moved, "{sku}");
        level
    }
}

pub(super) fn delivery(id: &str, event: &impl Event) -> Delivery {
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
