//! Where a scenario takes place: a database, a broker's file, and processes on both.

mod actor;
mod faults;
mod ledger;
mod log;

pub(crate) use actor::Actor;
pub(crate) use ledger::{Ledger, SHARD};

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use mainstay_chaos::{GROUP, TOPIC, outbox};
use mainstay_database::{
    postgres::{
        Database,
        sqlx::{
            self, ConnectOptions as _,
            postgres::{PgConnectOptions, PgSslMode},
        },
    },
    sqlite,
};
use mainstay_messaging::{Group, sqlite::Broker};
use mainstay_outbox::PostgresOutbox;
use mainstay_testkit::{
    History, Wire,
    check::{self, Violation},
    postgres::{PrivateServer, Server, TestDatabase},
};
use serde_json::Value;

/// Generous: the machine may be busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

const PARTITIONS: u16 = 4;

/// Entries that are not done.
const OPEN: &str =
    "SELECT count(*) FROM entries e WHERE NOT EXISTS (SELECT FROM effects f WHERE f.id = e.id)";
/// Rows that the outbox holds.
pub(crate) const WAITING: &str =
    "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM outbox_deferred)";
pub(crate) const EFFECTS: &str = "SELECT count(*) FROM effects";
const COMMITTED: &str = "SELECT count(*) FROM entries";

/// How a scenario's processes are told apart from those of others on the same server.
pub(crate) struct Stage {
    pub(crate) ledger: Ledger,
    pub(crate) broker: Broker,
    /// The URL for processes.
    pub(crate) url: String,
    pub(crate) shards: u16,
    /// The broker's.
    file: sqlite::Database,
    database: Option<TestDatabase>,
    directory: tempfile::TempDir,
}

impl Stage {
    /// On the server of the run; none where there is none.
    pub(crate) async fn shared(shards: u16) -> Option<Self> {
        let server = Server::for_suite("chaos tests")?;
        Some(Self::on(&server, shards).await)
    }

    /// On a server of the scenario's own, which may be harmed; none where there is none.
    pub(crate) async fn private(shards: u16) -> Option<(PrivateServer, Self)> {
        let server = PrivateServer::for_suite("chaos tests").await.unwrap()?;
        let stage = Self::on(&server.server().unwrap(), shards).await;
        Some((server, stage))
    }

    async fn on(server: &Server, shards: u16) -> Self {
        let database = server.database().await.unwrap();
        let url = database.url();
        let connection = Database::connect(&url).await.unwrap();
        let ledger = Ledger::lay_out(connection, shards).await;
        let directory = tempfile::tempdir().unwrap();
        let file = sqlite::Database::open(broker_file(directory.path()))
            .await
            .unwrap();
        let broker = Broker::builder_on(&file).open().await.unwrap();
        log::watch(&file).await;
        broker.create_topic(TOPIC, PARTITIONS).await.unwrap();
        Self {
            ledger,
            broker,
            url,
            shards,
            file,
            database: Some(database),
            directory,
        }
    }

    /// One more topic.
    pub(crate) async fn create_topic(&self, topic: &str) {
        self.broker.create_topic(topic, PARTITIONS).await.unwrap();
    }

    /// Goes on in another database, and leaves this one.
    pub(crate) async fn move_to(&mut self, database: TestDatabase) -> TestDatabase {
        self.url = database.url();
        let connection = Database::connect(&self.url).await.unwrap();
        let before = std::mem::replace(&mut self.ledger, Ledger::over(connection));
        before.database().close().await;
        self.database.replace(database).unwrap()
    }

    /// The path of a file that goes with the stage.
    pub(crate) fn path_of(&self, name: &str) -> String {
        let path = self.directory.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    /// The URL of the database through a wire.
    pub(crate) fn through(&self, wire: &Wire) -> String {
        let options = self.options().host("127.0.0.1").port(wire.port());
        // Only unencrypted the wire sees a commit.
        options.ssl_mode(PgSslMode::Disable).to_url_lossy().into()
    }

    /// The URL of the database for sessions of this name.
    pub(crate) fn named(&self, name: &str) -> String {
        // The driver leaves the name out of its URLs.
        let mut url = self.options().to_url_lossy();
        url.query_pairs_mut().append_pair("application_name", name);
        url.into()
    }

    /// A wire to the stage's server.
    pub(crate) async fn wire(&self) -> Wire {
        let options = self.options();
        let wire = Wire::to(options.get_host(), options.get_port()).await;
        wire.unwrap()
    }

    fn options(&self) -> PgConnectOptions {
        self.database.as_ref().unwrap().options()
    }

    pub(crate) fn writer(&self, name: &str, options: &[&str]) -> Actor {
        self.actor("writer", name, &self.url, options)
    }

    pub(crate) fn relay(&self, name: &str, options: &[&str]) -> Actor {
        self.actor("relay", name, &self.url, options)
    }

    pub(crate) fn worker(&self, name: &str, options: &[&str]) -> Actor {
        self.actor("worker", name, &self.url, options)
    }

    /// A role whose connections go to `url`.
    pub(crate) fn actor(&self, role: &str, name: &str, url: &str, options: &[&str]) -> Actor {
        let file = broker_file(self.directory.path());
        let shards = self.shards.to_string();
        let file = file.to_str().unwrap();
        let place = ["--url", url, "--broker", file, "--shards", &*shards];
        let arguments: Vec<String> = place.iter().chain(options).map(|&a| a.to_owned()).collect();
        Actor::start(role, name, &arguments, self.directory.path())
    }

    /// The answer to a question about the database, as soon as there is one: the server may be away.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        until(sql, async || self.ask(sql).await).await
    }

    async fn ask(&self, sql: &'static str) -> Option<i64> {
        let pool = self.ledger.database().pool();
        match sqlx::query_scalar(sql).fetch_one(pool).await {
            Ok(count) => Some(count),
            Err(error) => {
                let sorted = mainstay_database::postgres::classify(error);
                assert!(sorted.is_retryable(), "{sql}: {sorted:?}");
                None
            }
        }
    }

    /// Runs a statement that changes no entry.
    pub(crate) async fn run(&self, sql: &'static str) {
        let pool = self.ledger.database().pool();
        sqlx::raw_sql(sql).execute(pool).await.unwrap();
    }

    /// The outbox, for transactions of the test's own.
    pub(crate) async fn outbox(&self) -> PostgresOutbox {
        let database = self.ledger.database();
        outbox(database, self.shards).await.unwrap()
    }

    /// Which entries are not done.
    pub(crate) async fn open(&self) -> Vec<String> {
        const OPEN: &str = "SELECT id FROM entries e
            WHERE NOT EXISTS (SELECT FROM effects f WHERE f.id = e.id)";
        let asked = sqlx::query_scalar(OPEN).fetch_all(self.ledger.database().pool());
        asked.await.unwrap()
    }

    /// Whether each of these entries is done.
    pub(crate) async fn are_done(&self, entries: &[String]) -> bool {
        const LEFT: &str = "SELECT NOT EXISTS (SELECT FROM unnest($1::text[]) e (id)
            WHERE NOT EXISTS (SELECT FROM effects f WHERE f.id = e.id))";
        let asked = sqlx::query_scalar(LEFT).bind(entries);
        asked
            .fetch_one(self.ledger.database().pool())
            .await
            .unwrap()
    }

    /// Waits until `more` effects are made from now.
    pub(crate) async fn traffic(&self, more: i64) {
        let before = self.count(EFFECTS).await;
        self.until(&format!("{more} effects more"), async || {
            self.count(EFFECTS).await >= before + more
        })
        .await;
    }

    /// As [`traffic`](Self::traffic), but of messages that are committed from now on: whoever was there before had no part in them.
    pub(crate) async fn new_traffic(&self, more: i64) {
        let before = self.count(COMMITTED).await;
        self.until(&format!("effects of {more} new messages"), async || {
            self.count(EFFECTS).await >= before + more
        })
        .await;
    }

    /// Waits for a condition; when it does not come, what the history shows is better than that.
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        if !holds_within(PATIENCE, holds).await {
            let history = self.history().await;
            panic!(
                "never came true: {what}; {}",
                complaint(&check::violations(&history))
            );
        }
    }

    /// Whether everything that was committed is published, recorded, done and acknowledged.
    pub(crate) async fn is_settled(&self) -> bool {
        let progress = self
            .broker
            .progress(&Group::from_static(GROUP))
            .await
            .unwrap();
        progress.iter().all(|(_, committed, end)| committed == end)
            && self.count(WAITING).await == 0
            && self.count(OPEN).await == 0
    }

    pub(crate) async fn history(&self) -> History {
        self.ledger.history(&self.file).await
    }

    /// Ends the writers, waits until everything is done, ends the others, and judges what happened.
    pub(crate) async fn close(mut self, writers: Vec<Actor>, others: Vec<Actor>) -> Ended {
        let written = finish(writers).await;
        self.until("everything is done", async || self.is_settled().await)
            .await;
        let summaries = finish(others).await;
        for summary in &summaries {
            let none_blocked = summary["blocked"].as_array().is_none_or(Vec::is_empty);
            assert!(none_blocked, "{summary}");
        }
        let history = self.history().await;
        let violations = check::violations(&history);
        assert!(violations.is_empty(), "{}", complaint(&violations));
        println!(
            "{} committed, {} effects, {} repetitions in the log, {} changes of owner; {}",
            history.committed.len(),
            history.effects.len(),
            history.repetitions(),
            history.takeovers(SHARD),
            Value::from(written.clone()),
        );
        self.ledger.database().close().await;
        if let Some(database) = self.database.take() {
            database.close().await.unwrap();
        }
        let summaries = written.iter().chain(&summaries).cloned().collect();
        Ended {
            history,
            written,
            summaries,
        }
    }
}

/// How a scenario ended: everything held.
pub(crate) struct Ended {
    pub(crate) history: History,
    written: Vec<Value>,
    summaries: Vec<Value>,
}

impl Ended {
    /// What this process said of itself.
    pub(crate) fn summary(&self, name: &str) -> &Value {
        let mut summaries = self.summaries.iter();
        summaries.find(|summary| summary["name"] == name).unwrap()
    }

    /// The sum over all writers of something they counted.
    pub(crate) fn writers(&self, what: &str) -> u64 {
        sum(&self.written, what)
    }
}

pub(crate) fn sum(summaries: &[Value], what: &str) -> u64 {
    summaries
        .iter()
        .filter_map(|summary| summary[what].as_u64())
        .sum()
}

/// Has processes end, and collects what they say.
pub(crate) async fn finish(actors: Vec<Actor>) -> Vec<Value> {
    let ending = || actors.into_iter().map(Actor::finish).collect();
    tokio::task::spawn_blocking(ending).await.unwrap()
}

fn complaint(violations: &[Violation]) -> String {
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn broker_file(directory: &Path) -> PathBuf {
    directory.join("broker.db")
}

/// Looks again until there is something.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    found.unwrap_or_else(|_| panic!("never came true: {what}"))
}

/// Whether a condition comes true in time.
pub(crate) async fn holds_within(patience: Duration, holds: impl AsyncFn() -> bool) -> bool {
    let looking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(patience, looking).await.is_ok()
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut logs: Vec<PathBuf> = std::fs::read_dir(self.directory.path())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        logs.sort();
        for log in logs {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            println!("--- {} said last:", log.display());
            for line in lines.iter().skip(lines.len().saturating_sub(12)) {
                println!("{line}");
            }
        }
    }
}
