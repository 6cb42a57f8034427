//! Services that answer requests with idempotency keys, struck while they do.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use futures_util::future::join_all;
use mainstay_testkit::{
    http::{Answer, post},
    postgres::{Server, TestDatabase},
    redis, within,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sqlx::PgPool;
use tempfile::TempDir;

use crate::stage::Actor;

const CLIENTS: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(120);

/// Servers, and where services keep their words.
struct Ground {
    database: TestDatabase,
    pool: PgPool,
    redis: redis::PrivateServer,
    directory: TempDir,
}

impl Ground {
    async fn lay() -> Option<Self> {
        let database = Server::for_suite("keyed services")?
            .database()
            .await
            .unwrap();
        let redis = redis::PrivateServer::for_suite("keyed services")
            .await
            .unwrap()?;
        let pool = PgPool::connect(&database.url()).await.unwrap();
        sqlx::raw_sql(
            "CREATE TABLE orders (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sku TEXT NOT NULL);
             CREATE TABLE charges (key TEXT PRIMARY KEY)",
        )
        .execute(&pool)
        .await
        .unwrap();
        // A connection is an open file, at both of its ends.
        let limit = getrlimit(Resource::Nofile);
        let wanted = limit.maximum.map_or(8_192, |most| most.min(8_192));
        let current = Some(wanted);
        setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
        Some(Self {
            database,
            pool,
            redis,
            directory: tempfile::tempdir().unwrap(),
        })
    }

    /// A service on this port; it listens when this returns.
    fn serve(&self, name: &str, port: u16, more: &[&str]) -> Actor {
        let (url, redis) = (self.database.url(), self.redis.url());
        let listen = format!("127.0.0.1:{port}");
        let mut arguments = vec!["--url", &url, "--redis", redis, "--listen", &listen];
        arguments.extend(more);
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        let mut service = Actor::start("keyed", name, &arguments, self.directory.path());
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(within(PATIENCE, || service.has_ended() || listens()));
        assert!(!service.has_ended(), "{}", service.said());
        service
    }

    async fn count(&self, table: &str) -> i64 {
        let count = match table {
            "orders" => "SELECT count(*) FROM orders",
            _ => "SELECT count(*) FROM charges",
        };
        sqlx::query_scalar(count)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

async fn ask(port: u16, path: &str, key: &str, sent: &AtomicUsize) -> Option<Answer> {
    let headers = [
        ("idempotency-key", key),
        ("content-type", "application/json"),
    ];
    let count = || {
        sent.fetch_add(1, SeqCst);
    };
    post(port, path, &headers, "\"mug\"", count).await
}

/// Sends the request until it is answered for good.
async fn insist(port: u16, path: &str, key: &str, sent: &AtomicUsize) -> Answer {
    loop {
        match ask(port, path, key, sent).await {
            Some(answer) if ![409, 503].contains(&answer.status) => return answer,
            // It is down or starts, or the key is running.
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Kills the service each time so many requests have been sent; all clients get one answer. More requests
/// than clients may never be sent: such a kill is left out once every client has its answer.
async fn killed_in_between(
    ground: &Ground,
    path: &str,
    key: &str,
    kills: &[usize],
    more: &[&str],
) -> Answer {
    let (port, sent, over) = (free_port(), AtomicUsize::new(0), AtomicBool::new(false));
    let mut service = Some(ground.serve("service", port, more));
    let clients = async {
        let answers = join_all((0..CLIENTS).map(|_| insist(port, path, key, &sent))).await;
        over.store(true, SeqCst);
        answers
    };
    let killing = async {
        for kill in kills {
            while sent.load(SeqCst) < *kill {
                if over.load(SeqCst) {
                    return;
                }
                tokio::task::yield_now().await;
            }
            if let Some(service) = service.take() {
                service.kill();
            }
            service = Some(ground.serve("service", port, more));
        }
    };
    let (mut answers, ()) = tokio::join!(clients, killing);
    let first = answers.swap_remove(0);
    for answer in &answers {
        assert_eq!(*answer, first, "{} clients", answers.len() + 1);
    }
    first
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_identical_orders_are_one_though_the_service_is_killed_in_between() {
    let Some(ground) = Ground::lay().await else {
        return;
    };
    let rounds: [&[usize]; 3] = [&[1], &[3, 40, 300], &[2, 500, 1_001]];
    for (orders, kills) in (1..).zip(rounds) {
        let key = format!("k{orders}");
        let answer = killed_in_between(&ground, "/orders", &key, kills, &[]).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(
            answer.headers["location"],
            format!("/orders/{}", answer.body)
        );
        assert_eq!(ground.count("orders").await, orders);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_identical_charges_have_one_answer_though_the_service_is_killed_in_between() {
    let Some(ground) = Ground::lay().await else {
        return;
    };
    let more = ["--lease", "1000", "--work", "100"];
    let rounds: [&[usize]; 2] = [&[1, 1_500], &[2, 300, 1_001]];
    for (charges, kills) in (1..).zip(rounds) {
        let key = format!("k{charges}");
        let answer = killed_in_between(&ground, "/charges", &key, kills, &more).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.starts_with(&format!("{key} charged under ")));
        assert_eq!(ground.count("charges").await, charges);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_past_its_lease_a_service_gives_no_answer_of_its_own() {
    let Some(ground) = Ground::lay().await else {
        return;
    };
    let (port, other_port, sent) = (free_port(), free_port(), AtomicUsize::new(0));
    let more = |work| ["--lease", "1000", "--work", work];
    // It works until well after it was stopped, however late that is seen.
    let stopped = ground.serve("stopped", port, &more("5000"));
    let other = ground.serve("other", other_port, &more("300"));
    let waiting = ask(port, "/charges", "k1", &sent);
    let striking = async {
        // It is in the handler.
        while ground.count("charges").await == 0 {
            tokio::task::yield_now().await;
        }
        stopped.freeze();
        let answer = insist(other_port, "/charges", "k1", &sent).await;
        stopped.thaw();
        answer
    };
    let (late, answer) = tokio::join!(waiting, striking);
    assert_eq!(answer.status, 200, "{answer:?}");
    let late = late.unwrap();
    assert_eq!(late.status, 409, "{late:?}");
    assert_eq!(insist(port, "/charges", "k1", &sent).await, answer);
    assert_eq!(ground.count("charges").await, 1);
    other.kill();
}
