//! An outbox on PostgreSQL with an application's table beside it, and writers on many connections.

use futures_util::future::join_all;
use mainstay_database::postgres::Database;
use mainstay_messaging::Message;
use mainstay_outbox::PostgresOutbox;
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::{PgConnection, PgPool};

use mainstay_benches::{Bench, Took, timed};

/// A database of its own, which goes away with it.
pub(crate) struct Shop {
    /// Connections to it.
    pub(crate) pool: PgPool,
    /// Its outbox.
    pub(crate) outbox: PostgresOutbox,
    _database: TestDatabase,
}

impl Shop {
    /// The application's write.
    pub(crate) const WRITE: &str = "INSERT INTO orders (body) VALUES ($1) RETURNING id";

    /// A new one on `server`, for as many writers.
    pub(crate) fn new(bench: &Bench, server: &Server, writers: u32) -> Self {
        bench.runtime.block_on(async {
            let test = server.database().await.unwrap();
            let database = Database::builder(test.url()).max_connections(writers + 2);
            let database = database.open().await.unwrap();
            let pool = database.pool().clone();
            let create = "CREATE TABLE orders (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body BYTEA NOT NULL)";
            sqlx::query(create).execute(&pool).await.unwrap();
            let outbox = PostgresOutbox::builder(database).open().await.unwrap();
            Self {
                pool,
                outbox,
                _database: test,
            }
        })
    }

    /// Runs `write` for all of `messages`, each of the writers for its share, all at once.
    pub(crate) fn write_all(
        &self,
        bench: &Bench,
        writers: u32,
        messages: &[Message],
        write: &impl AsyncFn(&Self, &Message),
    ) -> Took {
        let share = messages.len().div_ceil(writers as usize);
        let writer = async |share: &[Message]| {
            for message in share {
                write(self, message).await;
            }
        };
        let writers = messages.chunks(share).map(writer);
        timed(|| bench.runtime.block_on(join_all(writers)))
    }
}

/// The application's write, with the payload of `message` as its body.
pub(crate) async fn business(connection: &mut PgConnection, message: &Message) {
    sqlx::query(Shop::WRITE)
        .bind(message.payload.as_deref())
        .execute(connection)
        .await
        .unwrap();
}
