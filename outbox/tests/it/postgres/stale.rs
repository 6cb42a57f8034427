//! Prepared statements that the server no longer runs: a relay goes on, and loses nothing.

use mainstay_database::postgres::Database;
use mainstay_outbox::{Activity, PostgresOutbox};
use sqlx::postgres::PgPoolOptions;

use super::{Running, Shop, message, shop, until};

const CONNECTIONS: u32 = 2;

/// A relay publishes, its statements become stale, and it publishes again; on pools of both kinds.
async fn goes_on(shop: &Shop, make_stale: impl AsyncFn(&Database)) {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
    let pool = pool.connect_with(shop.server.options()).await.unwrap();
    let own = Database::builder(shop.server.url()).max_connections(CONNECTIONS);
    for database in [own.open().await.unwrap(), Database::from(pool)] {
        let outbox = PostgresOutbox::builder(&database).open().await.unwrap();
        let running = Running::start(&outbox);
        running.tape.refuse("a-0");
        shop.commit(&[message("a", 0), message("a", 1), message("b", 0)])
            .await;
        until("a key is blocked", async || {
            running.tape.refusals() > 2 && running.tape.ids() == ["b-0"]
        })
        .await;
        make_stale(&database).await;
        shop.commit(&[message("b", 1), message("a", 2)]).await;
        until("the other key goes on", async || {
            running.tape.ids_of("b") == ["b-0", "b-1"]
        })
        .await;
        running.tape.accept();
        shop.until_drained().await;
        assert_eq!(running.tape.ids_of("a"), ["a-0", "a-1", "a-2"]);
        until("it reports nothing", async || {
            let status = running.relay.status();
            status.activity == Activity::Publishing && status.last_error.is_none()
        })
        .await;
        running.stop().await;
        shop.run("TRUNCATE outbox, outbox_deferred").await;
    }
}

#[tokio::test]
async fn a_relay_goes_on_after_the_type_of_a_column_changed() {
    let Some(shop) = shop().await else { return };
    goes_on(&shop, async |_| {
        // There and back: each time is a change. A transaction for each table: one for both would
        // wait for the relay, which reads both and would wait for it.
        let changes = "DO $$ DECLARE other text := CASE
              (SELECT atttypid::regtype::text FROM pg_attribute
               WHERE attrelid = 'outbox'::regclass AND attname = 'topic')
              WHEN 'text' THEN 'varchar' ELSE 'text' END;
            BEGIN
              EXECUTE format('ALTER TABLE outbox ALTER topic TYPE %1$s, ALTER envelope TYPE %1$s', other);
              COMMIT;
              EXECUTE format('ALTER TABLE outbox_deferred ALTER topic TYPE %1$s, ALTER envelope TYPE %1$s', other);
            END $$";
        shop.run(changes).await;
    })
    .await;
}

/// As `DISCARD ALL` does, which some poolers run between two clients.
#[tokio::test]
async fn a_relay_goes_on_after_its_sessions_forgot_their_statements() {
    let Some(shop) = shop().await else { return };
    goes_on(&shop, async |database| {
        let mut sessions = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut session = database.pool().acquire().await.unwrap();
            let forget = sqlx::raw_sql("DEALLOCATE ALL").execute(&mut *session);
            forget.await.unwrap();
            sessions.push(session);
        }
    })
    .await;
}
