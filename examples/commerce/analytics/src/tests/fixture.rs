//! The projection on a database of the test's own.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode},
};
use commerce_chassis::{
    Caller, Db, Deployment, ON_A_SERVER, ServiceBuilder, Storage, StorageSettings, send_as,
};
use mainstay_database::Transactions as _;
use mainstay_inbox::Received;
use mainstay_messaging::{Message, Partition, Position};
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
            ..StorageSettings::default()
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
