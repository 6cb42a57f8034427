//! The loop by hand: a row per saga, and a commit behind each call.

use mainstay_database::postgres::Database;
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::PgPool;

use crate::{AT_ONCE, REFUSED, Shop};

/// A service that keeps its sagas, and a participant that keeps effects, with a database each.
pub(crate) struct ByHand {
    sagas: PgPool,
    effects: PgPool,
    _databases: [TestDatabase; 2],
}

impl ByHand {
    pub(crate) async fn start(server: &Server) -> Self {
        let (sagas, first) = open(server).await;
        let (effects, second) = open(server).await;
        let create: &'static str =
            "CREATE TABLE sagas (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
             input TEXT NOT NULL, step TEXT NOT NULL, result TEXT)";
        sqlx::query(create).execute(&sagas).await.unwrap();
        let create: &'static str =
            "CREATE TABLE effects (effect TEXT PRIMARY KEY, body TEXT NOT NULL)";
        sqlx::query(create).execute(&effects).await.unwrap();
        Self {
            sagas,
            effects,
            _databases: [first, second],
        }
    }

    /// The participant carries out a step; the same one again changes nothing.
    async fn call(&self, saga: i64, step: &str) -> String {
        let effect = format!("{saga}:{step}");
        let insert: &'static str =
            "INSERT INTO effects (effect, body) VALUES ($1, $2) ON CONFLICT (effect) DO NOTHING";
        let inserted = sqlx::query(insert).bind(&effect).bind("x".repeat(200));
        inserted.execute(&self.effects).await.unwrap();
        effect
    }

    async fn save(&self, saga: i64, step: &str, result: &str) {
        let save: &'static str = "UPDATE sagas SET step = $2, result = $3 WHERE id = $1";
        let saved = sqlx::query(save).bind(saga).bind(step).bind(result);
        saved.execute(&self.sagas).await.unwrap();
    }
}

impl Shop for ByHand {
    async fn carry_out(&self, order: usize) {
        let start: &'static str =
            "INSERT INTO sagas (input, step) VALUES ($1, 'started') RETURNING id";
        let started = sqlx::query_scalar(start).bind("x".repeat(200));
        let saga: i64 = started.fetch_one(&self.sagas).await.unwrap();
        let steps = if order.is_multiple_of(REFUSED) {
            &["reserve", "authorize", "release"][..]
        } else {
            &["reserve", "authorize", "capture", "dispatch"][..]
        };
        for step in steps {
            let result = self.call(saga, step).await;
            self.save(saga, step, &result).await;
        }
    }
}

async fn open(server: &Server) -> (PgPool, TestDatabase) {
    let test = server.database().await.unwrap();
    let connections = u32::try_from(AT_ONCE).unwrap() / 4;
    let database = Database::builder(test.url()).max_connections(connections);
    (database.open().await.unwrap().pool().clone(), test)
}
