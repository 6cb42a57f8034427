//! Behind `PgBouncer` in transaction mode, where the next transaction runs in another session: the suite, and writers and
//! relays at once.

use std::{ops::Deref, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::future::join_all;
use mainstay_database::{
    Transactions as _,
    postgres::{self, Database},
};
use mainstay_outbox::{
    EnqueueKey, Enqueued, Entry, Error, Outbox as _,
    conformance::Fixture,
    postgres::{Options, PostgresOutbox},
};
use mainstay_testkit::postgres::{Pooler, TestDatabase};
use tokio_util::sync::CancellationToken;

use super::{Running, Shop, conformance::options, message, shop, shop_with, until};

/// A shop whose service goes through a pooler.
struct Pooled {
    /// Past the pooler.
    shop: Shop,
    pooler: Pooler,
    database: Database,
    outbox: Arc<PostgresOutbox>,
}

impl Deref for Pooled {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        &self.shop
    }
}

async fn pooled() -> Option<Pooled> {
    let shop = shop_with(options(4)).await?;
    let suite = "outbox behind a pooler";
    // More than the suite holds open at once, and fewer than there are clients.
    let pooler = Pooler::for_suite(suite, &shop.server.url(), 6, "").await;
    let pooler = pooler.unwrap()?;
    let (database, outbox) = open(&pooler, &shop.server, options(4)).await.unwrap();
    Some(Pooled {
        shop,
        pooler,
        database,
        outbox,
    })
}

async fn open(
    pooler: &Pooler,
    server: &TestDatabase,
    options: Options,
) -> Result<(Database, Arc<PostgresOutbox>), Error> {
    let mut through = postgres::Options::default();
    through.behind_transaction_pooler = true;
    let database = Database::connect_with(&pooler.url(server.name()), through).await?;
    let outbox = PostgresOutbox::open(database.clone(), options).await?;
    Ok((database, Arc::new(outbox)))
}

#[async_trait]
impl Fixture for Pooled {
    type Database = Database;
    type Store = PostgresOutbox;

    fn database(&self) -> &Database {
        &self.database
    }

    fn store(&self) -> Arc<PostgresOutbox> {
        Arc::clone(&self.outbox)
    }

    async fn other_process(&self) -> Arc<PostgresOutbox> {
        let opened = open(&self.pooler, &self.server, options(4)).await;
        opened.unwrap().1
    }

    async fn open_with_five_shards(&self) -> Result<(), Error> {
        let opened = open(&self.pooler, &self.server, options(5)).await;
        opened.map(drop)
    }

    async fn damage(&self, id: &str) {
        self.shop.damage(id).await;
    }

    async fn rows(&self) -> (usize, usize) {
        self.shop.rows().await
    }
}

mainstay_outbox::conformance!(if_there pooled());

async fn write(database: &Database, outbox: &PostgresOutbox, key: &str) {
    let fused = outbox.fused("SELECT $1::int4 AS written");
    for number in 0..30 {
        let once = EnqueueKey::new(format!("{key}-{number}")).unwrap();
        let messages = [message(key, 3 * number), message(key, 3 * number + 1)];
        let mut tx = database.begin().await.unwrap();
        let entries = [
            Entry::new(&messages[0]).once(&once),
            Entry::new(&messages[1]),
        ];
        let added = outbox.enqueue_batch(&mut tx, &entries).await.unwrap();
        assert_eq!(added, [Enqueued::Added; 2]);
        let last = message(key, 3 * number + 2);
        let query = fused.query(&last, |business| business.bind(1)).unwrap();
        query.execute(&mut *tx).await.unwrap();
        database.commit(tx).await.unwrap();
        outbox.ring();
    }
}

#[tokio::test]
async fn writers_and_relays_work_behind_a_pooler_in_transaction_mode() {
    let Some(Shop { server, .. }) = shop().await else {
        return;
    };
    let suite = "outbox behind a pooler";
    let pooler = Pooler::for_suite(suite, &server.url(), 3, "").await;
    let Some(pooler) = pooler.unwrap() else {
        return;
    };
    let (database, writer) = open(&pooler, &server, Options::default()).await.unwrap();
    let (_, elsewhere) = open(&pooler, &server, Options::default()).await.unwrap();
    let shutdown = CancellationToken::new();
    for outbox in [&writer, &elsewhere] {
        let (outbox, shutdown) = (Arc::clone(outbox), shutdown.clone());
        tokio::spawn(async move {
            tokio::join!(outbox.announce(shutdown.clone()), outbox.listen(shutdown));
        });
    }
    let running = Running::start_as(&elsewhere, |relay| relay.lease(Duration::from_secs(2)));
    let keys = ["a", "b", "c", "d", "e", "f"];
    join_all(keys.map(|key| write(&database, &writer, key))).await;
    until("all is published", async || running.tape.ids().len() >= 540).await;
    for key in keys {
        let sent: Vec<_> = (0..90).map(|number| format!("{key}-{number}")).collect();
        assert_eq!(running.tape.ids_of(key), sent);
    }
    assert!(
        !elsewhere.is_listening(),
        "nothing can be heard through it, and that is known"
    );
    running.stop().await;
    shutdown.cancel();
}
