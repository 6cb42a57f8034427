//! A server that is restarted, paused, cut off, and set up wrongly.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{Router, routing::post as route};
use mainstay_idempotency::{
    Answer, Begun, Error, IdempotencyLayer, KeyedRequest, Lease, Leases as _, RedisLeases, Scope,
    Settled, conformance::LeasesFixture as _,
};
use mainstay_testkit::{Wire, redis::PrivateServer};
use redis::aio::ConnectionManager;

use super::{connect, fixture};
use crate::client::{ask, post};

const LONG: Duration = Duration::from_secs(600);

fn request() -> KeyedRequest {
    let scope = Scope::new("acme", "charge").unwrap();
    KeyedRequest::new(scope.key("k1").unwrap(), "a mug")
}

async fn lease(leases: &RedisLeases) -> Lease {
    match leases.begin(&request(), LONG).await.unwrap() {
        Begun::Fresh(lease) => lease,
        Begun::Settled(settled) => panic!("{settled:?}"),
    }
}

/// A server of the test's own; `None` if there is none.
async fn private() -> Option<PrivateServer> {
    PrivateServer::for_suite("idempotency").await.unwrap()
}

async fn open(url: &str) -> RedisLeases {
    let connection = connect(url).await;
    RedisLeases::builder(connection).open().await.unwrap()
}

/// A wire to the server, and the server's URL at its near end.
async fn wire_to(server: &PrivateServer) -> (Wire, String) {
    let (before, port) = server.url().rsplit_once(':').unwrap();
    let (port, after) = port.split_once('/').unwrap();
    let wire = Wire::to("127.0.0.1", port.parse().unwrap()).await.unwrap();
    let url = format!("{before}:{}/{after}", wire.port());
    (wire, url)
}

/// Asks until the server is reached again.
async fn reached<T>(call: impl AsyncFn() -> Result<T, Error>) -> T {
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(Error::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_evicts_keys_is_refused_by_the_settings_name() {
    let Some(server) = private().await else {
        return;
    };
    for policy in ["allkeys-lru", "volatile-ttl", "volatile-random"] {
        server
            .restart_with(&[("maxmemory-policy", policy)])
            .await
            .unwrap();
        let connection = connect(server.url()).await;
        let refused = RedisLeases::builder(connection).open().await.unwrap_err();
        assert!(matches!(&refused, Error::Evicting { policy: found } if found == policy));
        assert!(!refused.is_retryable());
        let told = refused.to_string();
        assert!(told.contains("maxmemory-policy to noeviction"), "{told}");
    }
    server
        .restart_with(&[("maxmemory-policy", "noeviction")])
        .await
        .unwrap();
    drop(open(server.url()).await);
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_gets_them_again() {
    let Some(server) = private().await else {
        return;
    };
    let leases = open(server.url()).await;
    let mut connection = connect(server.url()).await;
    let mut forget = async || {
        let mut flush = redis::cmd("SCRIPT");
        let flush = flush.arg("FLUSH");
        flush.exec_async(&mut connection).await.unwrap();
    };
    forget().await;
    let first = lease(&leases).await;
    forget().await;
    leases.renew(&first, LONG).await.unwrap();
    forget().await;
    leases.release(&first).await.unwrap();
    let second = lease(&leases).await;
    forget().await;
    leases
        .complete(&second, &Answer::new(200_u16, "made"))
        .await
        .unwrap();
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_server_that_restarts_empty_refuses_the_former_holder_and_tokens_grow() {
    let Some(server) = private().await else {
        return;
    };
    let leases = open(server.url()).await;
    let former = lease(&leases).await;
    server.restart().await.unwrap();
    let answer = Answer::new(200_u16, "late");
    let refused = async |what: Result<(), Error>| match what {
        Err(Error::Unavailable(error)) => Err(Error::Unavailable(error)),
        outcome => Ok(outcome),
    };
    // It knows nothing of the key, so nobody may write under an old lease.
    let completed = reached(async || refused(leases.complete(&former, &answer).await).await).await;
    assert!(
        matches!(completed, Err(Error::Fenced { .. })),
        "{completed:?}"
    );
    let successor = lease(&leases).await;
    assert!(successor.token() > former.token());
    for outcome in [
        leases.complete(&former, &answer).await,
        leases.renew(&former, LONG).await,
        leases.release(&former).await,
    ] {
        assert!(matches!(outcome, Err(Error::Fenced { .. })), "{outcome:?}");
    }
    leases
        .complete(&successor, &Answer::new(200_u16, "made"))
        .await
        .unwrap();
    server.close().await.unwrap();
}

/// The call arrives, and the connection breaks before its answer does.
#[tokio::test]
async fn a_begin_whose_answer_is_lost_is_asked_again_and_gets_its_lease() {
    let Some(server) = private().await else {
        return;
    };
    let (wire, near) = wire_to(&server).await;
    let leases = open(&near).await;
    let sent = wire.round_trips();
    server.pause().await.unwrap();
    let beginning = tokio::spawn({
        let leases = leases.clone();
        async move { lease(&leases).await }
    });
    while wire.round_trips() == sent {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(wire.cut(), 1);
    server.resume().await.unwrap();
    let lease = beginning.await.unwrap();
    let other = leases.begin(&request(), LONG).await.unwrap();
    assert!(
        matches!(other, Begun::Settled(Settled::Running { .. })),
        "{other:?}"
    );
    leases
        .complete(&lease, &Answer::new(200_u16, "made"))
        .await
        .unwrap();
    server.close().await.unwrap();
}

fn app(leases: &RedisLeases, calls: &Arc<AtomicUsize>) -> Router {
    let calls = Arc::clone(calls);
    let handler = async move || {
        calls.fetch_add(1, SeqCst);
        "made"
    };
    let layer = IdempotencyLayer::new(leases.clone()).store_timeout(Duration::from_millis(500));
    Router::new()
        .route("/charges", route(handler))
        .route_layer(layer)
}

#[tokio::test]
async fn a_server_that_is_away_is_503_before_the_handler_ran() {
    let Some(server) = private().await else {
        return;
    };
    let leases = open(server.url()).await;
    let calls = Arc::<AtomicUsize>::default();
    let app = app(&leases, &calls);
    server.kill().await.unwrap();
    let got = ask(&app, post("/charges", Some("k1"), "a")).await;
    got.problem(503);
    assert_eq!(got.all("retry-after"), ["1"]);
    assert_eq!(calls.load(SeqCst), 0);
    server.start_again().await.unwrap();
    // It stands still, and connections stay open.
    while ask(&app, post("/charges", Some("k2"), "a")).await.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.pause().await.unwrap();
    let made = calls.load(SeqCst);
    ask(&app, post("/charges", Some("k3"), "a"))
        .await
        .problem(503);
    assert_eq!(calls.load(SeqCst), made);
    server.resume().await.unwrap();
    server.close().await.unwrap();
}

#[tokio::test]
async fn each_call_is_one_round_trip() {
    let Some(server) = private().await else {
        return;
    };
    let (wire, near) = wire_to(&server).await;
    let leases = open(&near).await;
    let trips = async |what: &str, call: &mut (dyn Future<Output = ()> + Unpin)| {
        let before = wire.round_trips();
        call.await;
        assert_eq!(wire.round_trips() - before, 1, "{what}");
    };
    let before = wire.round_trips();
    let held = lease(&leases).await;
    assert_eq!(wire.round_trips() - before, 1, "begin");
    let mut renewing = Box::pin(async { leases.renew(&held, LONG).await.unwrap() });
    trips("renew", &mut renewing).await;
    let answer = Answer::new(200_u16, "made");
    let mut completing = Box::pin(async { leases.complete(&held, &answer).await.unwrap() });
    trips("complete", &mut completing).await;
    let mut replaying = Box::pin(async {
        let begun = leases.begin(&request(), LONG).await.unwrap();
        assert!(matches!(begun, Begun::Settled(Settled::Done(_))));
    });
    trips("replay", &mut replaying).await;
    let other = KeyedRequest {
        key: request().key.scope().key("k2").unwrap(),
        ..request()
    };
    let Begun::Fresh(other) = leases.begin(&other, LONG).await.unwrap() else {
        panic!("it is settled");
    };
    let mut releasing = Box::pin(async { leases.release(&other).await.unwrap() });
    trips("release", &mut releasing).await;
    server.close().await.unwrap();
}

async fn names(connection: &mut ConnectionManager, pattern: &str) -> Vec<String> {
    let mut keys = redis::cmd("KEYS");
    keys.arg(pattern).query_async(connection).await.unwrap()
}

#[tokio::test]
async fn everything_of_a_key_is_in_one_hash_that_expires() {
    let Some(f) = fixture().await else { return };
    let leases = f.leases().await;
    let mut connection = f.connection.clone();
    let held = lease(&leases).await;
    let check = async |connection: &mut ConnectionManager| {
        let names = names(connection, &format!("{}*", f.namespace)).await;
        let [name] = &*names else {
            panic!("{names:?}");
        };
        let kind: String = redis::cmd("TYPE")
            .arg(name)
            .query_async(connection)
            .await
            .unwrap();
        assert_eq!(kind, "hash");
        let left: i64 = redis::cmd("PTTL")
            .arg(name)
            .query_async(connection)
            .await
            .unwrap();
        assert!(left > 23 * 3_600 * 1_000, "{left}");
    };
    check(&mut connection).await;
    leases
        .complete(&held, &Answer::new(200_u16, "made"))
        .await
        .unwrap();
    check(&mut connection).await;
}
