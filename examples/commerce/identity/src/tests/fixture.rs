//! The service's desk on a database of the test's own.

use std::sync::Arc;

use commerce_chassis::{
    Db, Deployment, KeySet, ON_A_SERVER, Outbox, ServiceBuilder, Storage, StorageSettings,
};
use commerce_contracts::UserChanged;
use mainstay_clock::{Clock, IdGenerator};
use mainstay_database::Transactions as _;
use mainstay_messaging::{Topic, envelope::read, event::decode};
use mainstay_testkit::postgres::{Server, TestDatabase, URL};
use tempfile::TempDir;

use crate::{
    MIGRATIONS,
    desk::{Desk, Grant},
    keys::Keys,
    secret::Secret,
    store,
};

pub(super) const SEED_PASSWORD: &str = "the password of the seeds";

pub(super) struct Fixture {
    pub(super) desk: Desk,
    pub(super) db: Db,
    pub(super) keys: KeySet,
    outbox: Outbox,
    ids: Arc<dyn IdGenerator>,
    clock: Arc<dyn Clock>,
    _directory: TempDir,
    _database: Option<TestDatabase>,
}

impl Fixture {
    /// None if the build needs a server and there is none.
    pub(super) async fn open() -> Option<Self> {
        let mut database = None;
        if ON_A_SERVER {
            let server = Server::for_suite("commerce-identity")?;
            database = Some(server.database().await.unwrap());
        }
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::new(&StorageSettings {
            data: directory.path().to_owned(),
            postgres: database.as_ref().and_then(|_| std::env::var(URL).ok()),
            postgres_prefix: database.as_ref().map(|it| it.name().to_owned()),
            ..StorageSettings::default()
        });
        let deployment = Deployment::open(storage.unwrap()).await.unwrap();
        // The prefix is the whole name of the database.
        let builder = ServiceBuilder::open(&deployment, "", &MIGRATIONS).await;
        let builder = builder.unwrap();
        let keys = deployment.keys().clone();
        let (ids, clock) = (builder.ids().clone(), builder.clock().clone());
        let tables = (builder.db().clone(), builder.outbox().clone());
        let password = Some(SEED_PASSWORD);
        let desk = Desk::open(tables, ids.clone(), clock.clone(), &keys, password).await;
        Some(Self {
            desk: desk.unwrap(),
            db: builder.db().clone(),
            outbox: builder.outbox().clone(),
            ids,
            clock,
            keys,
            _directory: directory,
            _database: database,
        })
    }

    /// Opens the desk again, as the next start of the process does.
    pub(super) async fn reopen(&self, seed_password: Option<&str>) -> Desk {
        let (ids, clock) = (self.ids.clone(), self.clock.clone());
        let tables = (self.db.clone(), self.outbox.clone());
        let desk = Desk::open(tables, ids, clock, &KeySet::default(), seed_password).await;
        desk.unwrap()
    }

    /// Another process's view of the keys, at `now`.
    pub(super) async fn keys_at(&self, published: &KeySet, now: i64) -> Keys {
        let keys = Keys::open(&self.db, published, &self.ids, now).await;
        keys.unwrap()
    }

    pub(super) async fn log_in(&self, now: i64) -> Grant {
        let password = Secret(SEED_PASSWORD.to_owned());
        let grant = self.desk.log_in("cust-001@example.com", password, now);
        grant.await.unwrap()
    }

    /// Rotates the keys that are due at `now`.
    pub(super) async fn look_after(&self, now: i64) {
        let mut tx = self.db.begin().await.unwrap();
        let keys = self.desk.keys();
        keys.look_after(&mut tx, now).await.unwrap();
        self.db.commit(tx).await.unwrap();
    }

    /// Deletes what is over at `now`.
    pub(super) async fn sweep(&self, now: i64) {
        let mut tx = self.db.begin().await.unwrap();
        store::sweep(&mut tx, now).await.unwrap();
        self.db.commit(tx).await.unwrap();
    }

    /// Everything that was emitted.
    pub(super) async fn emitted(&self) -> Vec<UserChanged> {
        let rows = sqlx::query_as("SELECT topic, envelope, payload FROM outbox ORDER BY position");
        let rows: Vec<(String, String, Option<Vec<u8>>)> =
            rows.fetch_all(self.db.reader()).await.unwrap();
        let event = |(topic, envelope, payload): (String, String, Option<Vec<u8>>)| {
            let topic = Topic::new(topic).unwrap();
            let message = read(&envelope, topic, None, payload.map(Into::into));
            decode(&message.unwrap()).unwrap()
        };
        rows.into_iter().map(event).collect()
    }

    /// All texts and bytes of a table, as one text.
    pub(super) async fn dump(&self, columns: &'static str) -> String {
        let rows: Vec<(String,)> = sqlx::query_as(columns)
            .fetch_all(self.db.reader())
            .await
            .unwrap();
        rows.into_iter().map(|(text,)| text).collect()
    }
}
