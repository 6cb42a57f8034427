//! The extractor, with records in a SQLite file.

use std::borrow::Cow;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts, Path, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
    routing::post as route,
};
use mainstay_idempotency::{
    Answer, Begun, Keyed, Records as _, SqliteRecords,
    database::sqlite::Database,
    http::{OptionallyKeyed, Problem, Tenant},
};
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;

use super::client::{Got, ask, post};

#[derive(Deserialize)]
struct PlaceOrder {
    sku: String,
}

#[derive(Serialize)]
struct Placed {
    order: i64,
}

#[derive(Clone)]
struct Shop {
    db: Database,
    records: SqliteRecords,
}

/// Who the header `x-account` says; a service would check credentials.
struct Account(String);

impl Tenant for Account {
    fn tenant(&self) -> Cow<'_, str> {
        (&*self.0).into()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Account {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        let account = parts.headers.get("x-account").and_then(|a| a.to_str().ok());
        Ok(Self(account.ok_or(StatusCode::UNAUTHORIZED)?.to_owned()))
    }
}

async fn place(tx: &mut SqliteConnection, order: &PlaceOrder) -> Result<Answer, Problem> {
    let order: i64 = sqlx::query_scalar("INSERT INTO orders (sku) VALUES ($1) RETURNING id")
        .bind(&order.sku)
        .fetch_one(tx)
        .await?;
    let answer = Answer::json(StatusCode::CREATED, &Placed { order })?;
    Ok(answer.header("location", format!("/orders/{order}")))
}

async fn post_order(
    State(shop): State<Shop>,
    order: Keyed<PlaceOrder>,
) -> Result<Response, Problem> {
    order.run(&shop.records, place).await
}

/// The same by hand, for a tenant.
async fn post_by_hand(
    State(shop): State<Shop>,
    Path(_): Path<String>,
    order: Keyed<PlaceOrder, Account>,
) -> Result<Response, Problem> {
    let mut tx = shop.db.begin().await?;
    let claim = match shop.records.begin(&mut tx, &order.request).await? {
        Begun::Fresh(claim) => claim,
        Begun::Settled(settled) => return Ok(settled.into_response()),
    };
    let answer = place(&mut tx, &order.body).await?;
    shop.records.complete(&mut tx, claim, &answer).await?;
    shop.db.commit(tx).await?;
    Ok(answer.into_response())
}

async fn post_optionally(
    State(shop): State<Shop>,
    order: OptionallyKeyed<PlaceOrder>,
) -> Result<Response, Problem> {
    let mut tx = shop.db.begin().await?;
    assert!(order.request.is_none());
    let answer = place(&mut tx, &order.body).await?;
    shop.db.commit(tx).await?;
    Ok(answer.into_response())
}

struct Fixture {
    app: Router,
    db: Database,
    _directory: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open(directory.path().join("shop.db"))
        .await
        .unwrap();
    let mut tx = db.begin().await.unwrap();
    sqlx::query("CREATE TABLE orders (id INTEGER PRIMARY KEY, sku TEXT NOT NULL)")
        .execute(&mut *tx)
        .await
        .unwrap();
    db.commit(tx).await.unwrap();
    let records = SqliteRecords::builder(&db).open().await.unwrap();
    let app = Router::new()
        .route("/orders", route(post_order))
        .route("/optionally", route(post_optionally))
        .route("/by-hand/{id}", route(post_by_hand))
        .layer(DefaultBodyLimit::max(1_000))
        .with_state(Shop {
            db: db.clone(),
            records,
        });
    Fixture {
        app,
        db,
        _directory: directory,
    }
}

impl Fixture {
    async fn orders(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM orders")
            .fetch_one(self.db.reader())
            .await
            .unwrap()
    }

    async fn post(&self, key: Option<&str>, body: &'static str) -> Got {
        ask(&self.app, post("/orders", key, body)).await
    }

    async fn by_hand(&self, path: &str, account: &str, key: &str) -> Got {
        let mut request = post(path, Some(key), r#"{"sku":"mug"}"#);
        let account = account.parse().unwrap();
        request.headers_mut().insert("x-account", account);
        ask(&self.app, request).await
    }
}

const MUG: &str = r#"{"sku":"mug"}"#;

#[tokio::test]
async fn the_same_request_twice_is_one_effect_and_one_answer() {
    let f = fixture().await;
    let first = f.post(Some("k1"), MUG).await;
    assert_eq!(
        (first.status, first.body.as_slice()),
        (201, &br#"{"order":1}"#[..])
    );
    assert_eq!(first.all("location"), ["/orders/1"]);
    // Quoted, as the draft has it, and bare are one key.
    for key in ["k1", "\"k1\""] {
        assert_eq!(f.post(Some(key), MUG).await.first_time(), first);
    }
    assert_eq!(f.orders().await, 1);
    assert_eq!(f.post(Some("k2"), MUG).await.status, 201);
    assert_eq!(f.orders().await, 2);
}

#[tokio::test]
async fn another_request_with_the_same_key_is_422() {
    let f = fixture().await;
    f.post(Some("k1"), MUG).await;
    let other = f.post(Some("k1"), r#"{"sku":"cup"}"#).await;
    assert!(other.problem(422).contains("use a new one"));
    assert_eq!(f.orders().await, 1);
}
