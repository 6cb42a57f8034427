//! This program once more, as a process that publishes what it hears of.

use std::{
    collections::HashMap,
    env,
    io::{self, BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use async_trait::async_trait;
use mainstay_database::postgres::Database;
use mainstay_messaging::{Key, Message, Publisher, Topic, broker::PublishOutcome, envelope};
use mainstay_outbox::{PostgresOutbox, Relay};
use rustix::time::{ClockId, clock_gettime};
use sqlx::{PgPool, postgres::PgListener};
use tokio_util::sync::CancellationToken;

/// What it does.
#[derive(Clone, Copy)]
pub(crate) enum How {
    /// Runs a relay that listens.
    Relay,
    /// Only listens: what writers pay for the telling, without the work that it brings.
    Listening,
    /// What one writes without the library: LISTEN, then `DELETE … RETURNING`.
    ByHand,
}

/// What the writers of [`How::ByHand`] add to their transactions.
pub(crate) const NOTIFY: &str = "NOTIFY by_hand";

const ROLE: &str = "MAINSTAY_BENCH_ROLE";
const URL: &str = "MAINSTAY_BENCH_URL";

/// Time since some moment that all processes of this machine share.
pub(crate) fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap(),
        u32::try_from(now.tv_nsec).unwrap(),
    )
}

/// A running one. It ends when its standard input does.
pub(crate) struct AnotherProcess {
    child: Child,
    stdin: ChildStdin,
    output: BufReader<ChildStdout>,
    published: HashMap<String, Duration>,
}

impl AnotherProcess {
    /// Starts it and waits until it listens.
    pub(crate) fn start(url: &str, how: How) -> Self {
        let role = match how {
            How::Relay => "relay",
            How::Listening => "listening",
            How::ByHand => "by-hand",
        };
        let mut child = Command::new(env::current_exe().unwrap())
            .env(ROLE, role)
            .env(URL, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut other = Self {
            stdin: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
            published: HashMap::new(),
        };
        assert_eq!(other.line(), "ready");
        other
    }

    /// When it published this message; waits for that.
    pub(crate) fn published(&mut self, message: &Message) -> Duration {
        loop {
            if let Some(when) = self.published.remove(message.id.as_str()) {
                return when;
            }
            let line = self.line();
            let (id, nanos) = line.split_once(' ').unwrap();
            let when = Duration::from_nanos(nanos.parse().unwrap());
            self.published.insert(id.to_owned(), when);
        }
    }

    /// Ends it.
    pub(crate) fn stop(mut self) {
        drop(self.stdin);
        assert!(self.child.wait().unwrap().success());
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "it ended");
        line.trim_end().to_owned()
    }
}

/// Whether this process is another one's other process; if so, it has done its work when this returns.
pub(crate) fn is_this_one() -> bool {
    let Ok(role) = env::var(ROLE) else {
        return false;
    };
    let url = env::var(URL).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let shutdown = CancellationToken::new();
    std::thread::spawn({
        let shutdown = shutdown.clone();
        move || {
            io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
            shutdown.cancel();
        }
    });
    runtime.block_on(async {
        match role.as_str() {
            "relay" => relay(&url, shutdown).await,
            "listening" => listening(&url, shutdown).await,
            _ => by_hand(&url, shutdown).await,
        }
    });
    true
}

fn say(line: impl std::fmt::Display) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

async fn open(url: &str) -> PostgresOutbox {
    let database = Database::connect(url).await.unwrap();
    PostgresOutbox::builder(database).open().await.unwrap()
}

struct Tape;

#[async_trait]
impl Publisher for Tape {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        let now = monotonic();
        for message in messages {
            say(format_args!("{} {}", message.id.as_str(), now.as_nanos()));
        }
        messages
            .iter()
            .map(|_| PublishOutcome::Acknowledged)
            .collect()
    }
}

async fn relay(url: &str, shutdown: CancellationToken) {
    let outbox = open(url).await;
    let relay = Relay::new(outbox.clone(), Tape);
    let handle = relay.handle();
    let ready = async {
        while !(outbox.is_listening() && handle.status().shards == 1) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        say("ready");
    };
    let (result, (), ()) = tokio::join!(
        relay.run_until(shutdown.clone().cancelled_owned()),
        outbox.listen(shutdown.cancelled_owned()),
        ready
    );
    result.unwrap();
}

async fn listening(url: &str, shutdown: CancellationToken) {
    let outbox = open(url).await;
    let ready = async {
        while !outbox.is_listening() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        say("ready");
    };
    tokio::join!(outbox.listen(shutdown.cancelled_owned()), ready);
}

/// Envelope, topic, key, payload.
type Row = (String, String, Option<String>, Option<Vec<u8>>);

async fn by_hand(url: &str, shutdown: CancellationToken) {
    let pool = PgPool::connect(url).await.unwrap();
    let mut listener = PgListener::connect_with(&pool).await.unwrap();
    listener.listen("by_hand").await.unwrap();
    say("ready");
    loop {
        tokio::select! {
            notified = listener.recv() => { notified.unwrap(); }
            () = shutdown.cancelled() => return,
        }
        let rows: Vec<Row> =
            sqlx::query_as("DELETE FROM outbox RETURNING envelope, topic, key, payload")
                .fetch_all(&pool)
                .await
                .unwrap();
        let now = monotonic();
        for (text, topic, key, payload) in rows {
            let key = key.map(|key| Key::new(key).unwrap());
            let topic = Topic::new(topic).unwrap();
            let message = envelope::read(&text, topic, key, payload.map(Into::into)).unwrap();
            say(format_args!("{} {}", message.id.as_str(), now.as_nanos()));
        }
    }
}
