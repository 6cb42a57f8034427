//! The layer, with leases in memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Extension, Path},
    http::{HeaderValue, Request, Response, StatusCode},
    routing::post as route,
};
use futures_util::{StreamExt as _, stream};
use mainstay_idempotency::{
    Answer, Begun, Error, IdempotencyLayer, KeyedRequest, Lease, Leases, MemoryLeases, http::Policy,
};
use tokio::sync::{Notify, Semaphore};

use crate::client::{Got, ask, post};

/// Handlers count how often they run.
#[derive(Clone, Default)]
struct Calls {
    count: Arc<AtomicUsize>,
    begun: Arc<Notify>,
}

impl Calls {
    fn count(&self) -> usize {
        self.count.load(SeqCst)
    }
}

/// Everything that a header may contain.
fn response(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        ("location", &b"/charges/1"[..]),
        ("set-cookie", b"a=1; Path=/, \"x\""),
        ("set-cookie", b"b=2"),
        ("x-bytes", b"\xe4\xff!"),
        ("connection", b"close"),
    ] {
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    response
}

async fn charge(
    Path(what): Path<String>,
    Extension(calls): Extension<Calls>,
    lease: Option<Extension<Lease>>,
    body: Bytes,
) -> Response<Body> {
    let nth = calls.count.fetch_add(1, SeqCst) + 1;
    calls.begun.notify_one();
    match &*what {
        "slow" => {
            tokio::time::sleep(Duration::from_secs(5)).await;
            response(StatusCode::CREATED, format!("charge {nth}"))
        }
        "panic" if nth == 1 => panic!("out of paper"),
        "large" => response(StatusCode::CREATED, vec![b'x'; 5_000]),
        "status" => {
            let status = String::from_utf8(body.to_vec()).unwrap();
            response(StatusCode::try_from(&*status).unwrap(), format!("{nth}"))
        }
        "lease" => {
            let lease = lease.unwrap();
            response(StatusCode::OK, lease.request().key.to_string())
        }
        _ => response(StatusCode::CREATED, format!("charge {nth}")),
    }
}

fn app(calls: &Calls, layer: IdempotencyLayer<impl Leases + Clone>) -> Router {
    Router::new()
        .route("/charges/{what}", route(charge).get(charge).patch(charge))
        .route_layer(layer.max_request_size(1_000).max_response_size(1_000))
        .layer(Extension(calls.clone()))
}

fn plain() -> (Calls, Router) {
    let calls = Calls::default();
    let app = app(&calls, IdempotencyLayer::new(MemoryLeases::new()));
    (calls, app)
}

async fn asked(app: &Router, what: &str, key: &str, body: &'static str) -> Got {
    ask(app, post(&format!("/charges/{what}"), Some(key), body)).await
}

#[tokio::test]
async fn a_repeated_request_is_answered_byte_for_byte() {
    let (calls, app) = plain();
    let first = asked(&app, "x", "k1", "a").await;
    assert_eq!((first.status, &*first.body), (201, &b"charge 1"[..]));
    assert_eq!(first.all("set-cookie"), ["a=1; Path=/, \"x\"", "b=2"]);
    let bytes = first.headers.iter().find(|(name, _)| name == "x-bytes");
    assert_eq!(bytes.unwrap().1, b"\xe4\xff!");
    let mut expected = first.clone();
    expected.headers.retain(|(name, _)| name != "connection");
    for key in ["k1", "\"k1\""] {
        assert_eq!(asked(&app, "x", key, "a").await.first_time(), expected);
    }
    assert_eq!(calls.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_being_processed_is_409_and_for_another_request_422() {
    let (calls, app) = plain();
    let asking = tokio::spawn({
        let app = app.clone();
        async move { asked(&app, "slow", "k1", "a").await }
    });
    calls.begun.notified().await;
    let running = asked(&app, "slow", "k1", "a").await;
    running.problem(409);
    assert_eq!(running.all("retry-after"), ["1"]);
    asked(&app, "slow", "k1", "b").await.problem(422);
    assert_eq!(asking.await.unwrap().status, 201);
    assert_eq!(calls.count(), 1);
}

#[tokio::test]
async fn requests_without_key_or_beyond_the_limit_are_refused_before_the_handler() {
    let (calls, app) = plain();
    ask(&app, post("/charges/x", None, "a")).await.problem(400);
    asked(&app, "x", "k\u{e4}", "a").await.problem(400);
    let large: &'static str = "x".repeat(1_001).leak();
    asked(&app, "x", "k1", large).await.problem(413);
    let broken = stream::iter([Ok("a"), Err("the line is cut")]);
    let broken = ask(
        &app,
        post("/charges/x", Some("k1"), Body::from_stream(broken)),
    )
    .await;
    broken.problem(400);
    assert_eq!(calls.count(), 0);
    // No key is left behind.
    assert_eq!(asked(&app, "x", "k1", "a").await.status, 201);
}

#[tokio::test]
async fn a_policy_says_which_requests_need_a_key() {
    for (policy, without, twice) in [
        (Policy::Required, 400, 1),
        (Policy::Optional, 201, 1),
        (Policy::Off, 201, 2),
    ] {
        let calls = Calls::default();
        let layer = IdempotencyLayer::new(MemoryLeases::new()).policy(policy);
        let app = app(&calls, layer);
        for _ in 0..2 {
            assert_eq!(asked(&app, "x", "k1", "a").await.status, 201);
        }
        assert_eq!(calls.count(), twice, "{policy:?}");
        let got = ask(&app, post("/charges/x", None, "a")).await;
        assert_eq!(got.status, without, "{policy:?}");
        // Safe methods need none.
        let get = Request::get("/charges/x").header("idempotency-key", "k9");
        let got = ask(&app, get.body(Body::empty()).unwrap()).await;
        assert_eq!(got.status, 201);
        let patch = Request::patch("/charges/x").body(Body::empty()).unwrap();
        assert_eq!(ask(&app, patch).await.status, without, "{policy:?}");
    }
    let calls = Calls::default();
    let layer =
        IdempotencyLayer::new(MemoryLeases::new()).policy_of(|parts| match parts.uri.path() {
            "/charges/free" => Policy::Off,
            _ => Policy::Required,
        });
    let app = app(&calls, layer);
    assert_eq!(
        ask(&app, post("/charges/free", None, "a")).await.status,
        201
    );
    ask(&app, post("/charges/x", None, "a")).await.problem(400);
}

#[tokio::test]
async fn two_tenants_with_the_same_key_never_meet() {
    let calls = Calls::default();
    let layer = IdempotencyLayer::new(MemoryLeases::new()).tenant(|parts| {
        let account = parts.headers.get("x-account")?.to_str().ok()?;
        Some(account.to_owned())
    });
    let app = app(&calls, layer);
    let of = async |account: &'static str| {
        let mut request = post("/charges/x", Some("k1"), "a");
        let account = HeaderValue::from_static(account);
        request.headers_mut().insert("x-account", account);
        ask(&app, request).await
    };
    for (account, body) in [("acme", "charge 1"), ("zoe", "charge 2")] {
        assert_eq!(of(account).await.body, body.as_bytes());
        assert_eq!(of(account).await.body, body.as_bytes());
    }
    asked(&app, "x", "k1", "a").await.problem(401);
    assert_eq!(calls.count(), 2);
}

#[tokio::test]
async fn a_failure_that_may_pass_is_processed_again_and_another_answer_is_kept() {
    for (status, runs) in [
        ("200", 1),
        ("302", 1),
        ("404", 1),
        ("422", 1),
        ("408", 2),
        ("409", 2),
        ("429", 2),
        ("500", 2),
        ("503", 2),
    ] {
        let (calls, app) = plain();
        for _ in 0..2 {
            let got = asked(&app, "status", "k1", status).await;
            assert_eq!(got.status.to_string(), status);
        }
        assert_eq!(calls.count(), runs, "{status}");
    }
}

#[tokio::test]
async fn a_handler_that_panics_is_500_and_frees_the_key() {
    let (calls, app) = plain();
    asked(&app, "panic", "k1", "a").await.problem(500);
    assert_eq!(asked(&app, "panic", "k1", "a").await.status, 201);
    assert_eq!(calls.count(), 2);
}

#[tokio::test]
async fn an_answer_above_the_limit_is_given_whole_and_never_made_again() {
    let (calls, app) = plain();
    let first = asked(&app, "large", "k1", "a").await;
    assert_eq!((first.status, first.body.len()), (201, 5_000));
    for _ in 0..2 {
        let again = asked(&app, "large", "k1", "a").await;
        assert!(again.problem(410).contains("status 201"));
        assert_eq!(again.all("idempotent-replayed"), ["true"]);
        assert_eq!(again.all("location"), ["/charges/1"]);
    }
    assert_eq!(calls.count(), 1);
}

#[tokio::test]
async fn a_handler_finds_its_key_and_token() {
    let (_, app) = plain();
    let got = asked(&app, "lease", "k1", "a").await;
    assert_eq!(got.body, br#""k1" of POST /charges/{what}"#);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_does_not_stop_its_request() {
    let (calls, app) = plain();
    {
        let mut asking = Box::pin(asked(&app, "slow", "k1", "a"));
        tokio::select! {
            biased;
            () = calls.begun.notified() => {}
            got = &mut asking => panic!("{got:?}"),
        }
    }
    let again = loop {
        let again = asked(&app, "slow", "k1", "a").await;
        if again.status != 409 {
            break again;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    assert_eq!(again.first_time().body, b"charge 1");
    assert_eq!(calls.count(), 1);
}

/// An endless body of which each piece waits until it is allowed.
#[tokio::test]
async fn a_streaming_response_costs_bounded_memory() {
    const PIECE: usize = 100;
    let (allowed, made) = (Arc::new(Semaphore::new(0)), Arc::<AtomicUsize>::default());
    let handler = {
        let (allowed, made) = (Arc::clone(&allowed), Arc::clone(&made));
        async move || {
            let pieces = stream::unfold((allowed, made), async |(allowed, made)| {
                allowed.acquire().await.ok()?.forget();
                made.fetch_add(1, SeqCst);
                let piece = Ok::<_, std::convert::Infallible>(vec![b'x'; PIECE]);
                Some((piece, (allowed, made)))
            });
            Body::from_stream(pieces)
        }
    };
    let layer = IdempotencyLayer::new(MemoryLeases::new()).max_response_size(10 * PIECE);
    let app = Router::new()
        .route("/stream", route(handler))
        .route_layer(layer);
    // What is kept, and the piece that shows that there is more.
    allowed.add_permits(11);
    let response = tower::ServiceExt::oneshot(app.clone(), post("/stream", Some("k1"), "a"));
    let mut body = response.await.unwrap().into_body().into_data_stream();
    assert_eq!(made.load(SeqCst), 11);
    assert_eq!(body.next().await.unwrap().unwrap().len(), 11 * PIECE);
    // From here on, pieces are made as they are read.
    for nth in 12..100 {
        allowed.add_permits(1);
        assert_eq!(body.next().await.unwrap().unwrap().len(), PIECE);
        assert_eq!(made.load(SeqCst), nth);
    }
    ask(&app, post("/stream", Some("k1"), "a"))
        .await
        .problem(410);
}

/// A store that is away.
#[derive(Clone)]
struct Away;

#[async_trait]
impl Leases for Away {
    async fn begin(&self, _: &KeyedRequest, _: Duration) -> Result<Begun<Lease>, Error> {
        Err(Error::Unavailable("connection refused".into()))
    }

    async fn renew(&self, _: &Lease, _: Duration) -> Result<(), Error> {
        Err(Error::Unavailable("connection refused".into()))
    }

    async fn complete(&self, _: &Lease, _: &Answer) -> Result<(), Error> {
        Err(Error::Unavailable("connection refused".into()))
    }

    async fn release(&self, _: &Lease) -> Result<(), Error> {
        Err(Error::Unavailable("connection refused".into()))
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_503_before_the_handler_ran() {
    let calls = Calls::default();
    let app = app(&calls, IdempotencyLayer::new(Away));
    let got = asked(&app, "x", "k1", "a").await;
    let told = got.problem(503);
    assert!(!told.contains("refused"), "details are for the log: {told}");
    assert_eq!(got.all("retry-after"), ["1"]);
    assert_eq!(calls.count(), 0);
}
