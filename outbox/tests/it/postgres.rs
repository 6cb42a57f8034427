//! The outbox in PostgreSQL, and what only a server with concurrent writers shows.

mod blocked;
mod combined;
mod conditions;
mod conformance;
mod durations;
mod full_disk;
mod ownership;
mod pooler;
mod positions;
mod stale;
mod tables;
mod wakeup;

use std::time::Duration;

use mainstay_clock::Backoff;
use mainstay_database::postgres::Database;
use mainstay_messaging::Message;
use mainstay_outbox::{
    Error, Outbox as _, OutboxBuilder, PostgresOutbox, Relay, RelayHandle,
    conformance::Tape,
    store::{Content, Fetched, Limit, Outcome, RelayStore as _, Row, ShardLease},
};
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(120);
const LEASE: Duration = Duration::from_secs(60);
const ALL: Limit = Limit {
    messages: 100_000,
    bytes: usize::MAX,
};

/// A database of the test's own with an outbox in it; none where there is no server.
struct Shop {
    database: Database,
    outbox: PostgresOutbox,
    server: TestDatabase,
}

async fn shop() -> Option<Shop> {
    shop_with(|outbox| outbox).await
}

async fn shop_with(
    settings: impl FnOnce(OutboxBuilder<Database>) -> OutboxBuilder<Database>,
) -> Option<Shop> {
    let server = Server::for_suite("outbox")?.database().await.unwrap();
    Some(shop_in(server, settings).await)
}

async fn shop_in(
    server: TestDatabase,
    settings: impl FnOnce(OutboxBuilder<Database>) -> OutboxBuilder<Database>,
) -> Shop {
    let (database, outbox) = open(&server.url(), settings).await.unwrap();
    // Logging in takes longer than some of the delays that tests wait for.
    let logged_in = async || database.begin().await.unwrap();
    drop(tokio::join!(
        logged_in(),
        logged_in(),
        logged_in(),
        logged_in()
    ));
    Shop {
        database,
        outbox,
        server,
    }
}

async fn open(
    url: &str,
    settings: impl FnOnce(OutboxBuilder<Database>) -> OutboxBuilder<Database>,
) -> Result<(Database, PostgresOutbox), Error> {
    let database = Database::connect(url).await?;
    let builder = PostgresOutbox::builder(&database).source("/suite");
    let outbox = settings(builder).open().await?;
    Ok((database, outbox))
}

impl Shop {
    fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// The outbox as another process has it.
    async fn other_process(&self) -> PostgresOutbox {
        let opened = open(&self.server.url(), |outbox| outbox).await;
        opened.unwrap().1
    }

    /// One transaction that enqueues `messages` and commits without a notification.
    async fn commit(&self, messages: &[Message]) {
        let mut tx = self.pool().begin().await.unwrap();
        for message in messages {
            self.outbox.enqueue(&mut tx, message).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    async fn run(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(self.pool()).await.unwrap();
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    async fn until_drained(&self) {
        until("the outbox is empty", async || {
            let left =
                "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM outbox_deferred)";
            self.count(left).await == 0
        })
        .await;
    }

    /// Waits until `sessions` of this database wait for locks.
    async fn until_blocked(&self, sessions: i64) {
        until("sessions wait for locks", async || {
            self.count(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .await
                == sessions
        })
        .await;
    }
}

/// The message `key-number`.
fn message(key: &str, number: usize) -> Message {
    Message::builder()
        .id(format!("{key}-{number}"))
        .source("/suite")
        .topic("orders")
        .kind("Counted")
        .key(key)
        .payload(number.to_string())
        .build()
        .unwrap()
}

fn id(row: &Row) -> String {
    match &row.content {
        Content::Message(message) => message.id.to_string(),
        Content::Unreadable(reason) => panic!("{reason}"),
    }
}

async fn fetched(outbox: &PostgresOutbox, leases: &[ShardLease]) -> Fetched {
    outbox.fetch(leases, ALL, &[]).await.unwrap()
}

async fn ids(outbox: &PostgresOutbox, leases: &[ShardLease]) -> Vec<String> {
    fetched(outbox, leases).await.rows.iter().map(id).collect()
}

fn acknowledged(fetched: &Fetched) -> Outcome {
    Outcome {
        acknowledged: fetched.rows.iter().map(|row| row.row_ref).collect(),
        ..Outcome::default()
    }
}

/// A relay that runs until it is stopped.
struct Running {
    relay: RelayHandle,
    tape: Tape,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    fn start(outbox: &PostgresOutbox) -> Self {
        Self::start_as(outbox, |relay| relay)
    }

    fn start_as(
        outbox: &PostgresOutbox,
        settings: impl FnOnce(Relay<PostgresOutbox, Tape>) -> Relay<PostgresOutbox, Tape>,
    ) -> Self {
        let tape = Tape::default();
        let quick = Backoff::new(Duration::from_millis(5), Duration::from_millis(20));
        let relay = Relay::new(outbox.clone(), tape.clone())
            .poll_interval(Duration::from_millis(50))
            .backoff(quick)
            .refusal_backoff(quick);
        let relay = settings(relay);
        let shutdown = CancellationToken::new();
        Self {
            relay: relay.handle(),
            tape,
            task: tokio::spawn(relay.run_until(shutdown.clone().cancelled_owned())),
            shutdown,
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended.unwrap().unwrap().unwrap();
    }
}

/// An error and all its causes.
fn report(error: &Error) -> String {
    let mut report = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        report = format!("{report}: {error}");
        source = error.source();
    }
    report
}

/// Checks again and again until `condition` holds.
#[expect(clippy::future_not_send, reason = "it is awaited in the test")]
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let checking = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let came_true = tokio::time::timeout(PATIENCE, checking).await.is_ok();
    assert!(came_true, "never came true: {what}");
}
