//! A service while it is being put together.

use std::{fmt, sync::Arc, time::Duration};

use axum::Router;
use commerce_contracts::topics_of;
use mainstay_clock::{Clock, IdGenerator};
use mainstay_database::Migrations;
use mainstay_inbox::{Handlers, Worker};
use mainstay_messaging::{Group, Publisher, Source, StartAt};
use mainstay_outbox::Relay;

use crate::{
    Bell, Belonging, Connection, Db, Deployment, Error, JOURNAL_MIGRATIONS, Journal, Result, Round,
    Service, Task, Vitals,
    db::{Inbox, Outbox},
    deployment::LEASE,
    roles, rounds,
};

/// As long as the log is kept: for ever. A reader that begins anew finds a mark for everything it has handled, and
/// `commerce verify` one for every record.
const MARKS_ARE_KEPT: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A service's database with its outbox, inbox and journal, and the tasks registered so far.
pub struct Station {
    name: &'static str,
    deployment: Deployment,
    db: Db,
    outbox: Arc<Outbox>,
    inbox: Arc<Inbox>,
    journal: Journal,
    belonging: Belonging,
    tasks: Vec<(&'static str, Task)>,
}

impl Station {
    /// Opens the service's own database and brings every schema in it up to date.
    ///
    /// # Errors
    /// [`Error::Database`]: it cannot be opened, or a schema is newer than this build.
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
        let inbox = Arc::new(db.inbox().await?);
        let outbox = Arc::new(db.outbox().await?);
        let source = Source::new(format!("/{name}"))
            .map_err(|error| Error::damaged("a service's name", error))?;
        Ok(Self {
            name,
            journal: Journal::new(
                source,
                Arc::clone(&outbox),
                Arc::clone(&deployment.clock),
                Arc::clone(&deployment.ids),
            ),
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
    #[must_use]
    pub fn serve(
        mut self,
        router: Router,
        handlers: Handlers<Connection>,
        bells: Vec<Bell>,
    ) -> Service {
        let (worker, working) = self.worker(handlers, bells);
        let (relay, relaying) = self.relay();
        self.tasks.push(("worker", working));
        self.tasks.push(("relay", relaying));
        Service {
            name: self.name,
            router,
            tasks: self.tasks,
            vitals: Vitals {
                service: self.name,
                relay,
                worker,
            },
            belonging: self.belonging,
        }
    }

    fn worker(
        &self,
        handlers: Handlers<Connection>,
        bells: Vec<Bell>,
    ) -> (Arc<Worker<Db, Inbox>>, Task) {
        let group = Group::from_static(self.name);
        let consumer = self.deployment.broker.consumer(
            group.clone(),
            &topics_of(self.name),
            StartAt::Earliest,
        );
        let journal = self.journal.clone();
        let on_commit = Arc::new(move || {
            journal.ring();
            for bell in &bells {
                bell.ring();
            }
        });
        let worker = Worker::new(
            group,
            Arc::new(self.db.clone()),
            Arc::clone(&self.inbox),
            handlers,
        )
        .retention(MARKS_ARE_KEPT)
        .on_commit(on_commit);
        let worker = Arc::new(worker);
        let (running, shutdown) = (Arc::clone(&worker), self.deployment.shutdown.clone());
        let task = async move { Ok(running.run(consumer, shutdown).await?) };
        (worker, Box::pin(task))
    }

    fn relay(&self) -> (Arc<Relay<Outbox, dyn Publisher>>, Task) {
        let publisher = roles::publisher(self.deployment.broker.publisher());
        let relay = Arc::new(Relay::new(Arc::clone(&self.outbox), publisher).lease(LEASE));
        let (running, shutdown) = (Arc::clone(&relay), self.deployment.shutdown.clone());
        let task = async move { Ok(running.run(shutdown).await?) };
        (relay, Box::pin(task))
    }
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Station")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
