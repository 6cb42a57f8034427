//! How a service is put together.

use std::{fmt, sync::Arc, time::Duration};

use axum::middleware::from_fn_with_state;
use commerce_contracts::ignored_by;
use futures_util::FutureExt as _;
use mainstay_clock::{Clock, IdGenerator};
use mainstay_database::Migrations;
use mainstay_dlock::LeaderHandle;
use mainstay_dlq::http::Routes;
use mainstay_idempotency::Sweeper;
use mainstay_inbox::Handlers;
use mainstay_outbox::Relay;
use mainstay_saga::Desk;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::{Notify, watch};

use crate::{
    Connection, Db, DeadLetters, Deployment, HealthCheck, LedRound, LogBinding, OpenApiRouter,
    Outbox, Records, Result, Round, Sagas, Service, Streams, Task,
    authentication::authenticate,
    business::Counting,
    deployment::LEASE,
    dlq_document,
    leading::lead,
    rounds,
    saga_watch::{self, StalledRuns},
    steps,
};

/// As long as the log is kept: for ever. A consumer that starts again at the earliest offset finds
/// a processed record of each message that it handled, and so does `commerce verify`; of a message that
/// an operator discarded, it finds the dead letter.
const RETENTION: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How far apart transactions of a worker and rounds of a relay start, to gather messages. An order is
/// sixteen messages, and a transaction is a sync of the disk.
const INTERVAL: Duration = Duration::from_millis(10);

/// How often relays and replayers look for what another process wrote. Their own process wakes them.
const LOOK: Duration = Duration::from_secs(1);

/// Carries out the commands of sagas, and answers them through the service's outbox.
pub type Participant = mainstay_saga::Participant<Sagas, Outbox>;

/// A service's database with its outbox and inbox, and the tasks added so far.
pub struct ServiceBuilder {
    name: &'static str,
    deployment: Deployment,
    db: Db,
    outbox: Outbox,
    dead_letters: DeadLetters,
    log_binding: LogBinding,
    tasks: Vec<(&'static str, Task)>,
    leaders: Vec<(&'static str, LeaderHandle)>,
    sagas: Option<watch::Receiver<StalledRuns>>,
}

impl ServiceBuilder {
    /// Opens the service's own database and migrates every schema in it.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database): the database cannot be opened, or a schema is
    /// newer than this build.
    pub async fn open(
        deployment: &Deployment,
        name: &'static str,
        migrations: &Migrations,
    ) -> Result<Self> {
        let db = Db::open(deployment.storage(), name).await?;
        let log = deployment.broker.log_id();
        let log_binding = LogBinding::prepare(name, deployment.storage(), log, &db).await?;
        db.migrate(migrations).await?;
        db.migrate_messaging().await?;
        let dead_letters = db.dead_letters().await?;
        let (clock, ids) = (&deployment.clock, &deployment.ids);
        let outbox = db.outbox(name, Arc::clone(clock), Arc::clone(ids)).await?;
        Ok(Self {
            name,
            log_binding,
            dead_letters,
            outbox,
            db,
            deployment: deployment.clone(),
            tasks: Vec::new(),
            leaders: Vec::new(),
            sagas: None,
        })
    }

    /// The service's database.
    #[must_use]
    pub const fn db(&self) -> &Db {
        &self.db
    }

    /// The generator of ids.
    #[must_use]
    pub fn ids(&self) -> &Arc<dyn IdGenerator> {
        &self.deployment.ids
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.deployment.clock
    }

    /// Opens the answers to requests with an idempotency key, and adds the task that deletes them
    /// at the end of their lifetime.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database): the schema is newer than this build.
    pub async fn records(&mut self) -> Result<Records> {
        let records = self.db.records().await?;
        let sweeping = Sweeper::new(records.clone())
            .run_until(self.deployment.shutdown.clone().cancelled_owned());
        let sweeping = sweeping.map(Ok);
        self.tasks.push(("sweeper of answers", Box::pin(sweeping)));
        Ok(records)
    }

    /// Opens the runs of sagas in the service's database.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database): the schema is newer than this build.
    pub fn sagas(&self) -> impl Future<Output = Result<Sagas>> + Send + use<> {
        let db = self.db.clone();
        async move {
            db.migrate_sagas().await?;
            db.sagas().await
        }
    }

    /// Opens the streams of events in the service's database.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database): the schema is newer than this build.
    pub fn streams(&self) -> impl Future<Output = Result<Streams>> + Send + use<> {
        let db = self.db.clone();
        async move {
            db.migrate_streams().await?;
            db.streams().await
        }
    }

    /// The service as a participant of sagas. Adds the task that deletes what it knows of steps that
    /// nobody asks about any more.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database): the schema is newer than this build.
    pub async fn participant(&mut self) -> Result<Participant> {
        let kit = Participant::new(self.sagas().await?, self.outbox.clone());
        let shutdown = self.deployment.shutdown.clone();
        let pruning = steps::prune(self.db.clone(), kit.clone(), shutdown);
        self.tasks.push(("pruning of steps", Box::pin(pruning)));
        Ok(kit)
    }

    /// The service's outbox.
    #[must_use]
    pub const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Runs `round` after each notification of `work` and whenever a row falls due, at most once
    /// per `min_interval`.
    #[must_use]
    pub fn rounds(
        self,
        name: &'static str,
        round: impl Round,
        work: Arc<Notify>,
        min_interval: Duration,
    ) -> Self {
        let ids = Arc::clone(&self.deployment.ids);
        let shutdown = self.deployment.shutdown.clone();
        let rounds = rounds::run(name, round, work, min_interval, ids, shutdown);
        self.task(name, rounds)
    }

    /// Stands for election among all processes of the service, and runs `round` while it leads, at
    /// most once per `min_interval`.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database): the schema is newer than this build.
    pub async fn lead(
        mut self,
        name: &'static str,
        round: impl LedRound,
        min_interval: Duration,
    ) -> Result<Self> {
        let (leader, leading) = lead(
            self.db.singletons().await?,
            name,
            round,
            min_interval,
            Arc::clone(&self.deployment.ids),
            self.deployment.shutdown.clone(),
        );
        self.leaders.push((name, leader));
        Ok(self.task(name, leading))
    }

    /// Watches for runs of the service's saga that wait for an operator; its health names them.
    #[must_use]
    pub fn watch_sagas<I>(mut self, desk: Desk<I, Sagas, Outbox>) -> Self
    where
        I: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let (counts, counted) = watch::channel(StalledRuns::default());
        let shutdown = self.deployment.shutdown.clone();
        let watching = saga_watch::watch(self.name, desk, counts, shutdown);
        self.sagas = Some(counted);
        self.task("watch over sagas", watching.map(Ok))
    }

    /// Adds a task; the process runs it until it ends by itself.
    #[must_use]
    pub fn task(
        mut self,
        name: &'static str,
        task: impl Future<Output = Result<()>> + Send + 'static,
    ) -> Self {
        self.tasks.push((name, Box::pin(task)));
        self
    }

    /// Adds the relay of a service that subscribes to nothing. Its handlers learn who calls by
    /// taking a [`Caller`](crate::Caller).
    #[must_use]
    pub fn build_without_subscriptions(self, router: impl Into<OpenApiRouter>) -> Service {
        let (router, document) = router.into().split_for_parts();
        let authentication = self.deployment.authentication();
        let shutdown = self.deployment.shutdown.clone();
        let relay = Relay::new(self.outbox, Counting(self.deployment.publisher()))
            .lease(LEASE)
            .poll_interval(LOOK);
        let health = HealthCheck {
            service: self.name,
            relay: relay.handle(),
            inbox: None,
            leaders: self.leaders,
            sagas: self.sagas,
        };
        let relaying = relay.run_until(shutdown.cancelled_owned());
        let mut tasks = self.tasks;
        tasks.push(("relay", Box::pin(async move { Ok(relaying.await?) })));
        Service {
            name: self.name,
            router: router.layer(from_fn_with_state(authentication, authenticate)),
            document,
            tasks,
            health,
            log_binding: self.log_binding,
        }
    }

    /// Subscribes the service, and adds its worker with `handlers`, its relay, and the replayer of
    /// the messages that the handlers could not handle. Each commit of the worker notifies
    /// everything in `on_commit`.
    ///
    /// The service's handlers of requests learn who calls by taking a [`Caller`](crate::Caller).
    /// Operators reach the messages that could not be handled under `/api/v1/dlq/NAME`, where NAME is the service.
    ///
    /// # Errors
    /// [`Error::Broker`](crate::Error::Broker): the service cannot subscribe.
    pub async fn build<S>(
        mut self,
        router: impl Into<OpenApiRouter>,
        handlers: Handlers<Connection, S>,
        on_commit: Vec<Arc<Notify>>,
    ) -> Result<Service>
    where
        S: Clone + Send + Sync + 'static,
    {
        let (broker, shutdown) = (&self.deployment.broker, &self.deployment.shutdown);
        let consumer = broker.subscribe(self.name).await?;
        let queue = &self.dead_letters;
        let replayer = || {
            let replayer = queue.replayer(self.name, handlers.clone());
            let replayer = replayer.map_err(mainstay_messaging::Error::from)?;
            Ok::<_, crate::Error>(replayer.retention(RETENTION).poll_interval(LOOK))
        };
        let operators = self.deployment.operators.clone();
        let desk = Routes::new(self.db.desk().await?, move |parts, role| {
            operators.authorize(parts, role)
        })
        .dry_runs(replayer()?)
        .into_router();
        let replayer = replayer()?;
        let worker = queue
            .worker(consumer)
            .handlers(handlers)
            .ignore_kinds(&ignored_by(self.name))
            .retention(RETENTION)
            .transaction_interval(INTERVAL)
            .on_commit(move || on_commit.iter().for_each(|work| work.notify_one()));
        let relay = Relay::new(self.outbox, Counting(self.deployment.publisher()))
            .lease(LEASE)
            .poll_interval(LOOK)
            .round_interval(INTERVAL);
        let health = HealthCheck {
            service: self.name,
            relay: relay.handle(),
            inbox: Some((worker.handle(), replayer.handle())),
            leaders: self.leaders,
            sagas: self.sagas,
        };
        let working = worker.run_until(shutdown.clone().cancelled_owned());
        let replays = replayer.run_until(shutdown.clone().cancelled_owned());
        let relaying = relay.run_until(shutdown.clone().cancelled_owned());
        self.tasks
            .push(("worker", Box::pin(async move { Ok(working.await?) })));
        self.tasks
            .push(("replayer", Box::pin(async move { Ok(replays.await?) })));
        self.tasks
            .push(("relay", Box::pin(async move { Ok(relaying.await?) })));
        let (router, mut document) = router.into().split_for_parts();
        document.merge(dlq_document::of(self.name));
        let router = router.nest(&format!("/api/v1/dlq/{}", self.name), desk);
        let authentication = self.deployment.authentication();
        Ok(Service {
            name: self.name,
            router: router.layer(from_fn_with_state(authentication, authenticate)),
            document,
            tasks: self.tasks,
            health,
            log_binding: self.log_binding,
        })
    }
}

impl fmt::Debug for ServiceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceBuilder")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
