//! Wake-up notifications across processes: NOTIFY on a connection of its own, LISTEN on another.
//!
//! NOTIFY inside the writers' transactions would take a cluster-wide lock at each commit. Instead, a
//! process sends one notification for many commits, at a limited rate. If any of it fails, relays still
//! find the rows at their poll interval.

use std::{
    convert::Infallible,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use mainstay_clock::{Backoff, Clock as _, IdGenerator as _, SystemClock, SystemIds};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, SqlSafeStr as _,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::{sync::Notify, time::timeout};

use super::pace::Pace;
use crate::{postgres::PostgresOutbox, round::with_causes};

/// One channel for all outboxes of a database; the payload names the outbox.
const CHANNEL: &str = "mainstay_outbox";

/// How long a healthy server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The state of announcing and listening.
#[derive(Debug)]
pub(super) struct Wakeup {
    /// This process committed something.
    pub(super) committed: Notify,
    listening: AtomicBool,
    /// The log table, as the payload names it.
    name: String,
    clock: SystemClock,
    ids: SystemIds,
    backoff: Backoff,
}

impl Wakeup {
    pub(super) fn new(name: &str) -> Self {
        Self {
            committed: Notify::new(),
            listening: AtomicBool::new(false),
            name: name.to_owned(),
            clock: SystemClock::new(),
            ids: SystemIds::new(),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(30)),
        }
    }
}

impl PostgresOutbox {
    /// Announces the commits of this process to relays in other processes, until `shutdown` completes.
    /// It sends a notification at once, but on average at most one per 5 ms.
    ///
    /// Run it in every process that writes. It uses a connection of its own, which may go through a
    /// pooler in transaction mode. Without it, relays in other processes find rows at their poll
    /// interval.
    ///
    /// # Cancel safety
    /// Cancel safe: relays find what was not announced at their poll interval.
    pub async fn announce(&self, shutdown: impl Future<Output = ()> + Send) {
        let wakeup = &self.inner.wakeup;
        let mut shutdown = pin!(shutdown);
        let (mut connection, mut failures, mut pace) = (None, 0, Pace::default());
        loop {
            tokio::select! {
                // What was committed before the shutdown is announced.
                biased;
                () = wakeup.committed.notified() => {}
                () = &mut shutdown => return,
            }
            let pause = match self.send_notification(&mut connection).await {
                Ok(()) => {
                    failures = 0;
                    pace.sent(wakeup.clock.monotonic())
                }
                Err(reason) => {
                    connection = None;
                    tracing::warn!(
                        reason,
                        "commits cannot be announced to other processes; their relays poll meanwhile"
                    );
                    failures += 1;
                    wakeup.committed.notify_one();
                    wakeup.backoff.delay(failures - 1, &wakeup.ids)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // On shutdown, do not wait out the backoff.
                () = &mut shutdown, if failures > 0 => return,
            }
        }
    }

    async fn send_notification(&self, connection: &mut Option<PgConnection>) -> Result<(), String> {
        let sending = async {
            let connection = if let Some(connection) = connection {
                connection
            } else {
                let options = self.inner.database.pool().connect_options();
                connection.insert(PgConnection::connect_with(&options).await?)
            };
            let notify = sqlx::raw_sql(notification(&self.inner.wakeup.name));
            notify.execute(connection).await
        };
        in_time(sending).await.map(drop)
    }

    /// Wakes the relay of this process when other processes [announce](Self::announce) commits, until
    /// `shutdown` completes.
    ///
    /// It uses a connection of its own and replaces it when it is lost, even if it fails silently.
    ///
    /// Behind a pooler in transaction mode it only waits for `shutdown`: there, a notification would
    /// reach another client's session. Give the server's own address to
    /// [`listen_at`](Self::listen_at).
    ///
    /// # Cancel safety
    /// Cancel safe: the relay polls.
    pub async fn listen(&self, shutdown: impl Future<Output = ()> + Send) {
        if !self.inner.database.keeps_statements() {
            tracing::warn!(
                "no wake-up notifications behind a pooler in transaction mode, the relay polls; \
                 use listen_at with the server's own address"
            );
            return shutdown.await;
        }
        let options = self.inner.database.pool().connect_options();
        self.listen_at((*options).clone(), shutdown).await;
    }

    /// As [`listen`](Self::listen), at another address of the server. It must not lead through a pooler
    /// in transaction mode.
    ///
    /// # Cancel safety
    /// As [`listen`](Self::listen).
    pub async fn listen_at(
        &self,
        options: PgConnectOptions,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        let wakeup = &self.inner.wakeup;
        let listening = async {
            let mut failures = 0;
            loop {
                let reason = match self.listen_once(&options, &mut failures).await {
                    Ok(never) => match never {},
                    Err(reason) => reason,
                };
                wakeup.listening.store(false, Ordering::Release);
                tracing::warn!(
                    reason,
                    "no wake-up notifications from other processes, the relay polls; trying again"
                );
                tokio::time::sleep(wakeup.backoff.delay(failures, &wakeup.ids)).await;
                failures = failures.saturating_add(1);
            }
        };
        tokio::select! {
            () = listening => {}
            () = shutdown => {}
        }
        wakeup.listening.store(false, Ordering::Release);
    }

    /// Whether wake-up notifications from other processes arrive, as far as is known.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.inner.wakeup.listening.load(Ordering::Acquire)
    }

    /// Listens on one connection until it fails.
    async fn listen_once(
        &self,
        options: &PgConnectOptions,
        failures: &mut u32,
    ) -> Result<Infallible, String> {
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
            self.check_connection(&mut listener, options).await?;
            *failures = 0;
            if !self.inner.wakeup.listening.swap(true, Ordering::AcqRel) {
                // Commits before this were not received.
                self.inner.notifier.notify();
            }
            let receiving = async {
                loop {
                    self.received(&next(&mut listener).await?);
                }
            };
            match timeout(self.inner.settings.listen_check_interval, receiving).await {
                Ok(lost) => return lost,
                Err(_time_to_check) => {}
            }
        }
    }

    /// Sends a notification and waits for it. A connection may fail silently, and LISTEN through a
    /// pooler succeeds and receives nothing. It is sent from another connection, because a pooler may
    /// return what a session sends to itself.
    async fn check_connection(
        &self,
        listener: &mut PgListener,
        options: &PgConnectOptions,
    ) -> Result<(), String> {
        let wakeup = &self.inner.wakeup;
        let sent = format!("{} {}", wakeup.name, wakeup.ids.uuid());
        in_time(async {
            let mut connection = PgConnection::connect_with(options).await?;
            let notify = sqlx::raw_sql(notification(&sent));
            notify.execute(&mut connection).await?;
            connection.close().await
        })
        .await?;
        let receiving = async {
            loop {
                let received = next(listener).await?;
                if received == sent {
                    return Ok(());
                }
                self.received(&received);
            }
        };
        timeout(PATIENCE, receiving)
            .await
            .unwrap_or_else(|_| Err("a notification was sent and did not arrive".to_owned()))
    }

    fn received(&self, payload: &str) {
        if payload == self.inner.wakeup.name {
            self.inner.notifier.notify();
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
        Err(_) => Err(format!("the server did not answer within {PATIENCE:?}")),
    }
}

/// Does not wait for the disk: relays find a commit whose notification a crash loses by polling.
fn notification(payload: &str) -> sqlx::SqlStr {
    // Safe: a checked namespace and an id.
    AssertSqlSafe(format!(
        "BEGIN; SET LOCAL synchronous_commit = off; NOTIFY {CHANNEL}, '{payload}'; COMMIT"
    ))
    .into_sql_str()
}
