//! The service's routes and handlers on a database of the test's own.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use commerce_chassis::{
    Caller, Connection, Db, Deployment, ON_A_SERVER, Round as _, ServiceBuilder, Storage,
    StorageSettings, send_as,
};
use mainstay_database::Transactions as _;
use mainstay_inbox::{HandlerError, Handlers};
use mainstay_messaging::{
    Delivery, Event, Message, Partition, Position, Topic, broker::Content, envelope::read,
    event::decode,
};
use mainstay_testkit::postgres::{Server, TestDatabase, URL};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::{
    MIGRATIONS,
    cache::{Cache, CatchUp},
    commands::Commands,
    handlers, http,
};

pub(super) struct Fixture {
    pub(super) db: Db,
    router: Router,
    handlers: Handlers<Connection>,
    catch_up: CatchUp,
    _directory: TempDir,
    _database: Option<TestDatabase>,
}

/// What the service answers.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn etag(&self) -> &str {
        self.headers[header::ETAG].to_str().unwrap()
    }

    /// The last part of a problem's type.
    pub(super) fn problem(&self) -> &str {
        let kind = self.body["type"].as_str().unwrap();
        kind.strip_prefix("urn:commerce:problem:").unwrap()
    }
}

impl Fixture {
    /// None if the build needs a server and there is none.
    pub(super) async fn open() -> Option<Self> {
        let mut database = None;
        if ON_A_SERVER {
            let server = Server::for_suite("commerce-catalog")?;
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
        let (db, cache) = (builder.db().clone(), Cache::new());
        let commands = Commands::new(&builder, cache.clone());
        let router = http::router(db.clone(), cache.clone(), commands);
        Some(Self {
            router: router.split_for_parts().0,
            handlers: handlers::handlers(),
            catch_up: CatchUp::new(db.clone(), cache),
            db,
            _directory: directory,
            _database: database,
        })
    }

    /// Sends a request of `caller`, with a condition and a body if there are any.
    pub(super) async fn send(
        &self,
        caller: Caller,
        (method, path): (Method, &str),
        condition: Option<(header::HeaderName, &str)>,
        body: Option<&Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some((name, value)) = condition {
            request = request.header(name, value);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = request.body(body).unwrap();
        send_as(&mut request, caller);
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        Answer {
            status: head.status,
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        let caller = Caller::anybody();
        self.send(caller, (Method::GET, path), None, None).await
    }

    /// Sends a command of an operator.
    pub(super) async fn command(
        &self,
        method: Method,
        path: &str,
        if_match: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        let condition = if_match.map(|etag| (header::IF_MATCH, etag));
        let caller = Caller::operator("op");
        self.send(caller, (method, path), condition, body).await
    }

    /// The SKUs of a list.
    pub(super) async fn skus(&self, path: &str) -> Vec<String> {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let items = answer.body["items"].as_array().unwrap();
        let sku = |item: &Value| item["sku"].as_str().unwrap().to_owned();
        items.iter().map(sku).collect()
    }

    /// Gives the handlers an event, in a transaction as the worker does. The cache does not know yet.
    pub(super) async fn handle(&self, event: &impl Event) -> Result<(), HandlerError> {
        let message = Message::builder().source("/test").event(event).id("event");
        let message = message.build().unwrap();
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

    /// What the process does after a commit of its worker, and from time to time.
    pub(super) async fn catch_up(&self) {
        self.catch_up.round().await.unwrap();
    }

    /// Every event of this type that was emitted.
    pub(super) async fn emitted<E: Event>(&self) -> Vec<E> {
        let rows = sqlx::query_as("SELECT topic, envelope, payload FROM outbox ORDER BY position");
        let rows: Vec<(String, String, Option<Vec<u8>>)> =
            rows.fetch_all(self.db.reader()).await.unwrap();
        let event = |(topic, envelope, payload): (String, String, Option<Vec<u8>>)| {
            let topic = Topic::new(topic).unwrap();
            let message = read(&envelope, topic, None, payload.map(Into::into)).unwrap();
            decode(&message).unwrap()
        };
        rows.into_iter().map(event).collect()
    }
}
