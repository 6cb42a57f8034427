//! A service while it is being put together.

use std::{fmt, sync::Arc, time::Duration};

use axum::Router;
use commerce_contracts::topics_of;
use mainstay_clock::{Clock, IdGenerator};
use mainstay_database::Migrations;
use mainstay_inbox::{Handlers, Worker};
use mainstay_messaging::StartAt;
use mainstay_outbox::Relay;

use crate::{
    Bell, Belonging, Connection, Db, Deployment, JOURNAL_MIGRATIONS, Journal, Result, Round,
    Service, Task, Vitals,
    db::{Inbox, Outbox},
    deployment::LEASE,
    roles, rounds,
};

/// As long as the log is kept: for ever. A reader that begins anew finds a processed record of everything it has
/// handled, and `commerce verify` one of every message.
const PROCESSED_ARE_KEPT: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A service's database with its outbox, inbox and journal, and the tasks registered so far.
pub struct Station {
    name: &'static str,
    deployment: Deployment,
    db: Db,
    outbox: Outbox,
    inbox: Inbox,
    journal: Journal,
    belonging: Belonging,
    tasks: Vec<(&'static str, Task)>,
}

impl Station {
    /// Opens the service's own database and brings every schema in it up to date.
    ///
    /// # Errors
    /// [`Error::Database`](crate::Error::Database): it cannot be opened, or a schema is newer than this build.
    pub async fn open(
        deployment: &Deployment,
        name: &'static str,
        migrations: &Migrations,
    ) -> Result<Self> {
        let db = Db::open(deployment.place(), name).await?;
        let log = deployment.broker.id().to_string();
        let belonging = Belonging::prepare(name, deployment.place(), log, &db).await?;
        db.migrate(migrations).await?;
        db.migrate(&JOURNAL_MIGRATIONS).await?;
        let inbox = db.inbox().await?;
        let (clock, ids) = (&deployment.clock, &deployment.ids);
        let outbox = db.outbox(name, Arc::clone(clock), Arc::clone(ids)).await?;
        Ok(Self {
            name,
            journal: Journal::new(outbox.clone(), Arc::clone(clock)),
            belonging,
            inbox,
            outbox,
            db,
            deployment: deployment.clone(),
            tasks: Vec::new(),
        })
    }

    /// The service's database.
    #[must_use]
    pub const fn db(&self) -> &Db {
        &self.db
    }

    /// The service's journal.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Ids.
    #[must_use]
    pub fn ids(&self) -> &Arc<dyn IdGenerator> {
        &self.deployment.ids
    }

    /// Time.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.deployment.clock
    }

    /// Has `round` run whenever `bell` rings or a row falls due, with `rest` in between at least.
    #[must_use]
    pub fn rounds(self, name: &'static str, round: impl Round, bell: Bell, rest: Duration) -> Self {
        let ids = Arc::clone(&self.deployment.ids);
        let shutdown = self.deployment.shutdown.clone();
        self.task(name, rounds::run(name, round, bell, rest, ids, shutdown))
    }

    /// Has `task` run until it ends by itself.
    #[must_use]
    pub fn task(
        mut self,
        name: &'static str,
        task: impl Future<Output = Result<()>> + Send + 'static,
    ) -> Self {
        self.tasks.push((name, Box::pin(task)));
        self
    }

    /// Adds the worker, with `handlers` for what the service subscribed to, and the relay. Each commit of the worker
    /// also rings `bells`.
    ///
    /// # Errors
    /// [`Error::Broker`](crate::Error::Broker): the service cannot subscribe.
    pub async fn serve<S>(
        mut self,
        router: Router,
        handlers: Handlers<Connection, S>,
        bells: Vec<Bell>,
    ) -> Result<Service> {
        let (broker, shutdown) = (&self.deployment.broker, &self.deployment.shutdown);
        let consumer = broker
            .consumer(self.name)
            .start_at(StartAt::Earliest)
            .subscribe(topics_of(self.name))
            .await?;
        let worker = Worker::new(self.inbox, consumer)
            .handlers(handlers)
            .retention(PROCESSED_ARE_KEPT)
            .on_commit(move || bells.iter().for_each(Bell::ring));
        let relay = Relay::new(self.outbox, roles::publisher(broker.publisher())).lease(LEASE);
        let vitals = Vitals {
            service: self.name,
            relay: relay.handle(),
            worker: worker.handle(),
        };
        let working = worker.run_until(shutdown.clone().cancelled_owned());
        let relaying = relay.run_until(shutdown.clone().cancelled_owned());
        self.tasks
            .push(("worker", Box::pin(async move { Ok(working.await?) })));
        self.tasks
            .push(("relay", Box::pin(async move { Ok(relaying.await?) })));
        Ok(Service {
            name: self.name,
            router,
            tasks: self.tasks,
            vitals,
            belonging: self.belonging,
        })
    }
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Station")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
