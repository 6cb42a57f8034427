//! The outbox in PostgreSQL, and what only a server with concurrent writers shows.

mod conditions;
mod conformance;
mod full_disk;
mod fused;
mod ownership;
mod pooler;
mod positions;
mod tables;
mod wakeup;

use std::{sync::Arc, time::Duration};

use mainstay_clock::Backoff;
use mainstay_database::{Transactions as _, postgres::Database};
use mainstay_messaging::{Key, Kind, Message, MessageId, Source, Topic};
use mainstay_outbox::{
    Content, Error, Fetched, Hold, Limit, Outbox as _, Outcome, Relay, RelayStore as _, Row,
    conformance::Tape,
    postgres::{Options, PostgresOutbox},
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
    outbox: Arc<PostgresOutbox>,
    server: TestDatabase,
}

async fn shop() -> Option<Shop> {
    shop_with(Options::default()).await
}

async fn shop_with(options: Options) -> Option<Shop> {
    let server = Server::for_suite("outbox")?.database().await.unwrap();
    Some(shop_in(server, options).await)
}

async fn shop_in(server: TestDatabase, options: Options) -> Shop {
    let (database, outbox) = open(&server.url(), options).await.unwrap();
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
        outbox: Arc::new(outbox),
        server,
    }
}

async fn open(url: &str, options: Options) -> Result<(Database, PostgresOutbox), Error> {
    let database = Database::connect(url).await?;
    let outbox = PostgresOutbox::open(database.clone(), options).await?;
    Ok((database, outbox))
}

impl Shop {
    fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// As another process has it.
    async fn other_process(&self) -> Arc<PostgresOutbox> {
        Arc::new(
            open(&self.server.url(), Options::default())
                .await
                .unwrap()
                .1,
        )
    }

    /// One transaction that enqueues `messages`, committed and not rung.
    async fn commit(&self, messages: &[Message]) {
        let mut tx = self.database.begin().await.unwrap();
        for message in messages {
            self.outbox.enqueue(&mut tx, message).await.unwrap();
        }
        self.database.commit(tx).await.unwrap();
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
            let left = "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM outbox_held)";
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
    let mut message = Message::with_id(
        MessageId::new(format!("{key}-{number}")).unwrap(),
        Source::from_static("/suite"),
        Topic::from_static("orders"),
        Kind::from_static("Counted"),
    );
    message.payload = Some(number.to_string().into());
    message.with_key(Key::new(key).unwrap())
}

fn id(row: &Row) -> String {
    match &row.content {
        Content::Message(message) => message.id.to_string(),
        Content::Unreadable(reason) => panic!("{reason}"),
    }
}

async fn fetched(outbox: &PostgresOutbox, holds: &[Hold]) -> Fetched {
    outbox.fetch(holds, ALL).await.unwrap()
}

async fn ids(outbox: &PostgresOutbox, holds: &[Hold]) -> Vec<String> {
    fetched(outbox, holds).await.rows.iter().map(id).collect()
}

fn acknowledged(fetched: &Fetched) -> Outcome {
    Outcome {
        acknowledged: fetched.rows.iter().map(|row| row.place).collect(),
        ..Outcome::default()
    }
}

/// A relay that runs until it is stopped.
struct Running {
    relay: Arc<Relay<PostgresOutbox, Tape>>,
    tape: Arc<Tape>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    fn start(outbox: &Arc<PostgresOutbox>) -> Self {
        Self::start_as(outbox, |relay| relay)
    }

    fn start_as(
        outbox: &Arc<PostgresOutbox>,
        settings: impl FnOnce(Relay<PostgresOutbox, Tape>) -> Relay<PostgresOutbox, Tape>,
    ) -> Self {
        let tape = Arc::new(Tape::default());
        let quick = Backoff::new(Duration::from_millis(5), Duration::from_millis(20));
        let relay = Relay::new(Arc::clone(outbox), Arc::clone(&tape))
            .slow_poll(Duration::from_millis(50))
            .outage_backoff(quick)
            .refusal_backoff(quick);
        let relay = Arc::new(settings(relay));
        let shutdown = CancellationToken::new();
        let task = tokio::spawn({
            let (relay, shutdown) = (Arc::clone(&relay), shutdown.clone());
            async move { relay.run(shutdown).await }
        });
        Self {
            relay,
            tape,
            shutdown,
            task,
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

/// Looks again until `condition` holds.
#[expect(clippy::future_not_send, reason = "it is awaited in the test")]
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let looking = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let came_true = tokio::time::timeout(PATIENCE, looking).await.is_ok();
    assert!(came_true, "never came true: {what}");
}
