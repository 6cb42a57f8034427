//! Commits whose answer is lost, and servers that end a request's transaction.

use axum::{Router, extract::State, http::StatusCode, response::Response, routing::post as route};
use mainstay_idempotency::{
    Answer, Keyed, PostgresRecords, conformance::RecordsFixture as _, http::Problem,
};
use mainstay_testkit::Lost;
use serde::Deserialize;
use sqlx::PgConnection;

use super::{PostgresFixture, fixture};
use crate::client::{ask, post};

#[derive(Deserialize)]
struct PlaceOrder {
    sku: String,
}

async fn place(tx: &mut PgConnection, order: &PlaceOrder) -> Result<Answer, Problem> {
    PostgresFixture::write(tx, &order.sku).await?;
    Ok(Answer::json(StatusCode::CREATED, &order.sku)?)
}

async fn post_order(
    State(records): State<PostgresRecords>,
    order: Keyed<PlaceOrder>,
) -> Result<Response, Problem> {
    order.run(&records, place).await
}

fn app(records: &PostgresRecords) -> Router {
    let app = Router::new().route("/orders", route(post_order));
    app.with_state(records.clone())
}

const MUG: &str = r#"{"sku":"mug"}"#;

#[tokio::test]
async fn a_commit_whose_answer_is_lost_makes_one_effect_and_one_answer() {
    for what in [Lost::Answer, Lost::Commit] {
        let Some(f) = fixture().await else { return };
        let (wire, _, records) = f.over_a_wire().await;
        wire.lose(what, 1);
        let got = ask(&app(&records), post("/orders", Some("k1"), MUG)).await;
        assert_eq!(wire.lost(), 1);
        assert_eq!((got.status, &*got.body), (201, &b"\"mug\""[..]), "{what:?}");
        let again = ask(&app(&records), post("/orders", Some("k1"), MUG)).await;
        assert_eq!((again.status, &again.body), (201, &got.body));
        assert_eq!(f.effects().await, ["mug"], "{what:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_running_is_409_and_its_answer_is_given_afterwards() {
    let Some(f) = fixture().await else { return };
    let mut first = f.database.begin().await.unwrap();
    let app = app(&f.records());
    let lock = "LOCK TABLE effects IN ACCESS EXCLUSIVE MODE";
    let mut holder = f.owner.begin().await.unwrap();
    sqlx::query(lock).execute(&mut *holder).await.unwrap();
    let waiting = tokio::spawn({
        let app = app.clone();
        async move { ask(&app, post("/orders", Some("k1"), MUG)).await }
    });
    // It has its key, and waits for the table.
    let held = "SELECT count(*) FROM pg_locks
        WHERE locktype = 'advisory' AND granted
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while sqlx::query_scalar::<_, i64>(held)
        .fetch_one(&mut *first)
        .await
        .unwrap()
        == 0
    {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let running = ask(&app, post("/orders", Some("k1"), MUG)).await;
    running.problem(409);
    assert_eq!(running.all("retry-after"), ["1"]);
    holder.rollback().await.unwrap();
    let first = waiting.await.unwrap();
    assert_eq!(first.status, 201);
    let again = ask(&app, post("/orders", Some("k1"), MUG)).await;
    assert_eq!(again.first_time(), first);
    assert_eq!(f.effects().await, ["mug"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_identical_requests_at_once_are_one_effect_and_one_answer() {
    let Some(f) = fixture().await else { return };
    let app = app(&f.records());
    let asking = (0..1_000).map(|_| ask(&app, post("/orders", Some("k1"), MUG)));
    let answers = futures_util::future::join_all(asking).await;
    let kept = ask(&app, post("/orders", Some("k1"), MUG))
        .await
        .first_time();
    assert_eq!(kept.status, 201);
    for got in answers {
        match got.status {
            409 => drop(got.problem(409)),
            _ if got.all("idempotent-replayed").is_empty() => assert_eq!(got, kept),
            _ => assert_eq!(got.first_time(), kept),
        }
    }
    assert_eq!(f.effects().await, ["mug"]);
}

#[tokio::test]
async fn a_server_that_is_away_is_503() {
    let Some(f) = fixture().await else { return };
    let (wire, database, records) = f.over_a_wire().await;
    let app = app(&records);
    drop(wire);
    database.close().await;
    let got = ask(&app, post("/orders", Some("k1"), MUG)).await;
    got.problem(503);
    assert_eq!(got.all("retry-after"), ["1"]);
    assert_eq!(f.effects().await.len(), 0);
}
