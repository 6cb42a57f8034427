//! Behind `PgBouncer` in transaction mode, where the next transaction runs in another session.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use mainstay_database::{
    Transactions as _,
    postgres::{self, Database},
};
use mainstay_outbox::{
    EnqueueKey, Enqueued, Entry, Outbox as _,
    postgres::{Options, PostgresOutbox},
};
use mainstay_testkit::postgres::{Pooler, Pooling, TestDatabase};
use tokio_util::sync::CancellationToken;

use super::{Running, Shop, message, shop, until};

async fn open(pooler: &Pooler, server: &TestDatabase) -> (Database, Arc<PostgresOutbox>) {
    let mut through = postgres::Options::default();
    through.behind_transaction_pooler = true;
    let url = pooler.url(server.name());
    let database = Database::connect_with(&url, through).await.unwrap();
    let outbox = PostgresOutbox::open(database.clone(), Options::default()).await;
    (database, Arc::new(outbox.unwrap()))
}

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
    let Some(pooler) = Pooler::for_suite(suite, &server.url(), Pooling::default()).unwrap() else {
        return;
    };
    let (database, writer) = open(&pooler, &server).await;
    let (_, elsewhere) = open(&pooler, &server).await;
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
