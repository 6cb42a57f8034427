//! The service is killed again and again while a thousand clients send it the same request.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use futures_util::future::join_all;
use mainstay_idempotency::sqlx::{Connection as _, SqliteConnection, query_as};
use mainstay_testkit::http::{Answer, post};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CLIENTS: usize = 1_000;

/// The service's process.
struct Service {
    child: Child,
}

impl Service {
    /// Returns when it listens.
    fn start(directory: &Path, port: u16) -> Self {
        let program = std::env::var_os("CARGO_BIN_EXE_idempotency");
        let program = program.unwrap_or(env!("CARGO_BIN_EXE_idempotency").into());
        let mut child = Command::new(program)
            .arg(directory)
            .arg(format!("127.0.0.1:{port}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert!(line.starts_with("listening on"), "{line:?}");
        Self { child }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn ask(port: u16, key: &str, sent: &AtomicUsize) -> Option<Answer> {
    let key = format!("\"{key}\"");
    let headers = [
        ("idempotency-key", &*key),
        ("content-type", "application/json"),
    ];
    let count = || {
        sent.fetch_add(1, SeqCst);
    };
    post(port, "/orders", &headers, r#"{"sku":"mug"}"#, count).await
}

/// Sends the request until it is answered for good.
async fn insist(port: u16, key: &str, sent: &AtomicUsize) -> Answer {
    loop {
        match ask(port, key, sent).await {
            Some(answer) if answer.status != 409 => return answer,
            // It is down, or the key is running.
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// A connection is an open file, at both of its ends.
fn allow_many_connections() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(8_192, |most| most.min(8_192));
    let limit = Rlimit {
        current: Some(wanted),
        ..limit
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_identical_requests_are_one_effect_though_the_service_is_killed_in_between() {
    allow_many_connections();
    let directory = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut service = Service::start(directory.path(), port);
    // It is killed when so many requests have been sent, each time anew.
    let rounds: [&[usize]; 4] = [&[1], &[3, 40], &[100, 600, 1_200], &[1, 2, 500, 1_001]];
    for (round, kills) in rounds.into_iter().enumerate() {
        let (key, sent) = (format!("k{round}"), AtomicUsize::new(0));
        let clients = join_all((0..CLIENTS).map(|_| insist(port, &key, &sent)));
        let killing = async {
            for kill in kills {
                while sent.load(SeqCst) < *kill {
                    tokio::task::yield_now().await;
                }
                service.kill();
                service = Service::start(directory.path(), port);
            }
        };
        let (answers, ()) = tokio::join!(clients, killing);
        assert_eq!(answers.len(), CLIENTS);
        let first = &answers[0];
        assert_eq!(first.status, 201, "{first:?}");
        for answer in &answers {
            assert_eq!(answer, first);
        }
        let orders = orders(directory.path()).await;
        assert_eq!(orders.len(), round + 1, "{orders:?}");
        let (order, _) = orders.last().unwrap();
        assert_eq!(first.body, format!(r#"{{"order":{order}}}"#));
        assert_eq!(first.headers["location"], format!("/orders/{order}"));
    }
}

async fn orders(directory: &Path) -> Vec<(i64, String)> {
    let file = directory.join("shop.db");
    let url = format!("sqlite://{}", file.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    query_as("SELECT id, sku FROM orders ORDER BY id")
        .fetch_all(&mut connection)
        .await
        .unwrap()
}
