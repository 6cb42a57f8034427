//! The extractor, with records in a SQLite file.

use std::{borrow::Cow, time::Duration};

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

use crate::client::{Got, ask, post};

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
    match &*order.sku {
        "nothing" => {
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                "there is no such article",
            ));
        }
        "broken" => {
            sqlx::query("SELECT * FROM no_such_table")
                .execute(tx)
                .await?;
            unreachable!("there is no such table");
        }
        _ => {}
    }
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
    let order = order.try_map(named)?;
    order.run(&shop.records, place).await
}

fn named(order: PlaceOrder) -> Result<PlaceOrder, Problem> {
    if order.sku.is_empty() {
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the sku is empty");
        return Err(problem.kind("urn:shop:no-sku").title("An order has a sku"));
    }
    Ok(order)
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

#[tokio::test]
async fn a_missing_or_malformed_key_is_400_and_nothing_is_done() {
    let f = fixture().await;
    let missing = f.post(None, MUG).await.problem(400);
    assert!(missing.contains("needs the header"), "{missing}");
    let long = "k".repeat(256);
    for key in [
        "", "\"", "\"a", "a\"b", "\"a\"b\"", "\"a\\b\"", "k\u{e4}", &long,
    ] {
        f.post(Some(key), MUG).await.problem(400);
    }
    let mut twice = post("/orders", Some("k1"), MUG);
    let other = "k2".parse().unwrap();
    twice.headers_mut().append("idempotency-key", other);
    let twice = ask(&f.app, twice).await.problem(400);
    assert!(twice.contains("twice"), "{twice}");
    assert_eq!(f.orders().await, 0);
}

#[tokio::test]
async fn a_quoted_key_may_escape_its_quotes() {
    let f = fixture().await;
    let first = f.post(Some(r#""a\"b\\c""#), MUG).await;
    assert_eq!(first.status, 201);
    let again = f.post(Some(r#""a\"b\\c""#), MUG).await;
    assert_eq!(again.first_time(), first);
}

#[tokio::test]
async fn a_body_that_is_too_large_or_wrong_leaves_the_key_free() {
    let f = fixture().await;
    let large = format!(r#"{{"sku":"{}"}}"#, "x".repeat(1_000)).leak();
    f.post(Some("k1"), large).await.problem(413);
    let wrong = f.post(Some("k1"), r#"{"sku":7}"#).await.problem(400);
    assert!(wrong.contains("not what this operation takes"), "{wrong}");
    let broken = futures_util::stream::iter([Ok("{"), Err("the line is cut")]);
    let broken = axum::body::Body::from_stream(broken);
    let broken = ask(&f.app, post("/orders", Some("k1"), broken)).await;
    assert_eq!(broken.status, 400);
    assert_eq!(f.post(Some("k1"), MUG).await.status, 201);
    assert_eq!(f.orders().await, 1);
}

#[tokio::test]
async fn two_tenants_with_the_same_key_never_meet() {
    let f = fixture().await;
    let first = f.by_hand("/by-hand/1", "acme", "k1").await;
    let other = f.by_hand("/by-hand/1", "zoe", "k1").await;
    assert_eq!((first.status, other.status), (201, 201));
    assert_ne!(first.body, other.body);
    assert_eq!(
        f.by_hand("/by-hand/1", "acme", "k1").await.first_time(),
        first
    );
    assert_eq!(
        f.by_hand("/by-hand/1", "zoe", "k1").await.first_time(),
        other
    );
    assert_eq!(f.orders().await, 2);
    let nobody = ask(&f.app, post("/by-hand/1", Some("k1"), MUG)).await;
    assert_eq!(nobody.status, 401, "its own rejection");
}

#[tokio::test]
async fn the_same_key_at_another_path_of_the_route_is_422() {
    let f = fixture().await;
    assert_eq!(f.by_hand("/by-hand/1", "acme", "k1").await.status, 201);
    f.by_hand("/by-hand/2", "acme", "k1").await.problem(422);
    f.by_hand("/by-hand/1?dry=1", "acme", "k1")
        .await
        .problem(422);
    assert_eq!(f.orders().await, 1);
}

#[tokio::test]
async fn the_same_key_on_another_route_is_another_request() {
    let f = fixture().await;
    assert_eq!(f.post(Some("k1"), MUG).await.status, 201);
    assert_eq!(f.by_hand("/by-hand/1", "", "k1").await.status, 201);
    assert_eq!(f.orders().await, 2);
}

#[tokio::test]
async fn without_a_key_an_optional_route_processes_each_request() {
    let f = fixture().await;
    for orders in 1..=2 {
        let got = ask(&f.app, post("/optionally", None, MUG)).await;
        assert_eq!((got.status, f.orders().await), (201, orders));
    }
}

#[tokio::test]
async fn a_request_that_is_refused_leaves_its_key_free() {
    let f = fixture().await;
    let refused = f.post(Some("k1"), r#"{"sku":"nothing"}"#).await;
    assert!(refused.problem(404).contains("no such article"));
    let failed = f.post(Some("k1"), r#"{"sku":"broken"}"#).await;
    let told = failed.problem(500);
    assert!(
        !told.contains("no such table"),
        "details are for the log: {told}"
    );
    assert_eq!(f.post(Some("k1"), MUG).await.status, 201);
    assert_eq!(f.orders().await, 1);
}

#[tokio::test]
async fn a_body_that_the_service_refuses_leaves_its_key_free() {
    let f = fixture().await;
    let refused = f.post(Some("k1"), r#"{"sku":""}"#).await;
    assert_eq!(refused.kind(422), "urn:shop:no-sku");
    assert_eq!(f.post(Some("k1"), MUG).await.status, 201);
    assert_eq!(f.orders().await, 1);
}

/// Programs tell the two meanings of 400 and of 422 apart by the type.
#[tokio::test]
async fn problems_have_a_type_that_stays() {
    let f = fixture().await;
    assert_eq!(f.post(Some("k1"), MUG).await.status, 201);
    for (key, body, status, kind) in [
        (None, MUG, 400, "idempotency-key-missing"),
        (Some(""), MUG, 400, "idempotency-key-invalid"),
        (Some("k2"), "{", 400, "malformed-body"),
        (
            Some("k1"),
            r#"{"sku":"cup"}"#,
            422,
            "idempotency-key-reused",
        ),
        (Some("k2"), r#"{"sku":"broken"}"#, 500, "internal"),
    ] {
        let kind = format!("urn:mainstay:problem:{kind}");
        assert_eq!(f.post(key, body).await.kind(status), kind);
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_its_request() {
    let f = fixture().await;
    // The writer is taken: the request cannot end while somebody listens.
    let tx = f.db.begin().await.unwrap();
    {
        let mut asking = Box::pin(f.post(Some("k1"), MUG));
        for _ in 0..20 {
            tokio::select! {
                biased;
                got = &mut asking => panic!("{got:?}"),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
    }
    drop(tx);
    let going_on = async {
        while f.orders().await == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let patience = Duration::from_secs(60);
    let ended = tokio::time::timeout(patience, going_on).await;
    ended.expect("the request was stopped");
    let again = f.post(Some("k1"), MUG).await;
    assert_eq!(again.first_time().status, 201);
    assert_eq!(f.orders().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_identical_requests_at_once_are_one_effect_and_one_answer() {
    let f = fixture().await;
    let asking = (0..1_000).map(|_| f.post(Some("k1"), MUG));
    let mut answers = futures_util::future::join_all(asking).await;
    let fresh = answers
        .iter()
        .position(|got| got.all("idempotent-replayed").is_empty());
    let first = answers.swap_remove(fresh.unwrap());
    assert_eq!(first.status, 201);
    for again in answers {
        assert_eq!(again.first_time(), first);
    }
    assert_eq!(f.orders().await, 1);
}
