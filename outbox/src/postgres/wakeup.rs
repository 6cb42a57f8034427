//! How relays in other processes hear of commits: NOTIFY from a connection beside the transactions, LISTEN on another.
//!
//! NOTIFY in the writers' own transactions would take a lock of the whole cluster at each commit. Here a process tells
//! of its rings at once while they are few, and at intervals however many there are. All of it may fail: relays poll
//! anyway.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use mainstay_clock::{Backoff, Clock as _, IdGenerator as _, SystemClock, SystemIds};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, SqlSafeStr as _,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use crate::{postgres::PostgresOutbox, round::with_causes};

/// One channel for all outboxes of a database; the payload says which one.
const CHANNEL: &str = "mainstay_outbox";

/// How long an answer of a server in good health may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What processes tell each other.
#[derive(Debug)]
pub(super) struct Wakeup {
    /// This process committed something.
    pub(super) rung: Notify,
    listening: AtomicBool,
    /// The tables it is about.
    name: String,
    clock: SystemClock,
    ids: SystemIds,
    backoff: Backoff,
}

impl Wakeup {
    pub(super) fn new(name: &str) -> Self {
        Self {
            rung: Notify::new(),
            listening: AtomicBool::new(false),
            name: name.to_owned(),
            clock: SystemClock::new(),
            ids: SystemIds::new(),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(30)),
        }
    }
}

impl PostgresOutbox {
    /// Tells relays in other processes when this one [rings](crate::Outbox::ring), until `shutdown` is cancelled: at once,
    /// but on average once per 5 ms at most.
    ///
    /// Run it beside whatever writes. It has a connection of its own, which may go through a pooler in transaction mode.
    /// Without it, relays in other processes find rows by their slow poll.
    ///
    /// # Cancel safety
    /// Cancel safe: what was not told is found by the slow poll.
    pub async fn announce(&self, shutdown: CancellationToken) {
        let wakeup = &self.inner.wakeup;
        let (mut connection, mut failures, mut pace) = (None, 0, Pace::default());
        loop {
            tokio::select! {
                // What was rung before the shutdown is told.
                biased;
                () = wakeup.rung.notified() => {}
                () = shutdown.cancelled() => return,
            }
            let pause = match self.notify(&mut connection).await {
                Ok(()) => {
                    failures = 0;
                    pace.told(self.inner.wakeup.clock.monotonic())
                }
                Err(reason) => {
                    connection = None;
                    tracing::warn!(
                        reason,
                        "relays in other processes cannot be told: they poll"
                    );
                    failures += 1;
                    wakeup.rung.notify_one();
                    wakeup.backoff.delay(failures - 1, &wakeup.ids)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Of an outage nobody waits for the end.
                () = shutdown.cancelled(), if failures > 0 => return,
            }
        }
    }

    async fn notify(&self, connection: &mut Option<PgConnection>) -> Result<(), String> {
        let telling = async {
            let connection = if let Some(connection) = connection {
                connection
            } else {
                let options = self.inner.database.pool().connect_options();
                connection.insert(PgConnection::connect_with(&options).await?)
            };
            let telling = sqlx::raw_sql(notification(&self.inner.wakeup.name));
            telling.execute(connection).await
        };
        in_time(telling).await.map(drop)
    }

    /// Wakes the relay on this store when other processes [announce](Self::announce) commits, until `shutdown` is
    /// cancelled.
    ///
    /// It has a connection of its own, made anew when it is lost, also when it dies without a word. Behind a pooler in
    /// transaction mode it hears nothing and only waits for `shutdown`: there, what one client listens to comes to
    /// another one in the middle of its transaction. Give the server's own address to [`listen_at`](Self::listen_at).
    ///
    /// # Cancel safety
    /// Cancel safe: the relay polls.
    pub async fn listen(&self, shutdown: CancellationToken) {
        if !self.inner.database.keeps_statements() {
            tracing::warn!("no wake-ups from other processes behind a pooler: the relay polls");
            return shutdown.cancelled().await;
        }
        let options = self.inner.database.pool().connect_options();
        self.listen_at((*options).clone(), shutdown).await;
    }

    /// [`listen`](Self::listen) on a server that is reached otherwise than the outbox's database; never through a pooler in
    /// transaction mode.
    ///
    /// # Cancel safety
    /// As [`listen`](Self::listen).
    pub async fn listen_at(&self, options: PgConnectOptions, shutdown: CancellationToken) {
        let wakeup = &self.inner.wakeup;
        let hearing = async {
            let mut failures = 0;
            loop {
                let reason = match self.hear(&options, &mut failures).await {
                    Ok(never) => match never {},
                    Err(reason) => reason,
                };
                wakeup.listening.store(false, Ordering::Release);
                tracing::warn!(reason, "no wake-ups from other processes: the relay polls");
                tokio::time::sleep(wakeup.backoff.delay(failures, &wakeup.ids)).await;
                failures = failures.saturating_add(1);
            }
        };
        tokio::select! {
            () = hearing => {}
            () = shutdown.cancelled() => {}
        }
        wakeup.listening.store(false, Ordering::Release);
    }

    /// Whether wake-ups from other processes come through, as far as is known.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.inner.wakeup.listening.load(Ordering::Acquire)
    }

    /// Listens on one connection until it fails.
    async fn hear(
        &self,
        options: &PgConnectOptions,
        failures: &mut u32,
    ) -> Result<std::convert::Infallible, String> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PATIENCE)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(options.clone());
        let mut listener = in_time(async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            Ok(listener)
        })
        .await?;
        loop {
            self.prove(&mut listener, options).await?;
            *failures = 0;
            if !self.inner.wakeup.listening.swap(true, Ordering::AcqRel) {
                // What was committed until now was not heard of.
                self.inner.notifier.ring();
            }
            let silence = async {
                loop {
                    self.heard(&next(&mut listener).await?);
                }
            };
            match timeout(self.inner.options.prove_listening_every, silence).await {
                Ok(lost) => return lost,
                Err(_time_to_prove_it) => {}
            }
        }
    }

    /// Sends a word and waits for it: a connection may die without one, and LISTEN through a pooler succeeds and is deaf.
    /// From another connection, since a pooler may well bring what a session tells itself.
    async fn prove(
        &self,
        listener: &mut PgListener,
        options: &PgConnectOptions,
    ) -> Result<(), String> {
        let wakeup = &self.inner.wakeup;
        let word = format!("{} {}", wakeup.name, wakeup.ids.uuid());
        in_time(async {
            let mut connection = PgConnection::connect_with(options).await?;
            let telling = sqlx::raw_sql(notification(&word));
            telling.execute(&mut connection).await?;
            connection.close().await
        })
        .await?;
        let proving = async {
            loop {
                let heard = next(listener).await?;
                if heard == word {
                    return Ok(());
                }
                self.heard(&heard);
            }
        };
        timeout(PATIENCE, proving)
            .await
            .unwrap_or_else(|_| Err("a notification did not come through".to_owned()))
    }

    fn heard(&self, payload: &str) {
        if payload == self.inner.wakeup.name {
            self.inner.notifier.ring();
        }
    }
}

async fn next(listener: &mut PgListener) -> Result<String, String> {
    match listener.try_recv().await {
        Ok(Some(notification)) => Ok(notification.payload().to_owned()),
        Ok(None) => Err("the connection was lost".to_owned()),
        Err(error) => Err(with_causes(&error)),
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, String> {
    match timeout(PATIENCE, work).await {
        Ok(result) => result.map_err(|error| with_causes(&error)),
        Err(_) => Err("the server does not answer".to_owned()),
    }
}

/// Nobody waits for the disk here: a notification that a crash forgets is found by the slow poll.
fn notification(payload: &str) -> sqlx::SqlStr {
    // Safe: a checked namespace, and an id.
    AssertSqlSafe(format!(
        "BEGIN; SET LOCAL synchronous_commit = off; NOTIFY {CHANNEL}, '{payload}'; COMMIT"
    ))
    .into_sql_str()
}
