//! Sagas in memory.
#![expect(clippy::unwrap_used, reason = "tests")]

use async_trait::async_trait;
use mainstay_database::memory::{Connection, Database, Inserted, Record};
use mainstay_messaging::Message;
use mainstay_outbox::RecordingOutbox;
use mainstay_saga::{MemorySagas, Orchestrator, Query, Saga, Status, conformance::Fixture};

use crate::orders::{Order, ReserveStock, StockReserved};

struct MemoryFixture {
    database: Database,
}

#[derive(Clone, Debug)]
struct Effect {
    seq: i64,
    text: String,
}

impl Record for Effect {
    const TABLE: &'static str = "effects";
    type Key = i64;

    fn key(&self) -> i64 {
        self.seq
    }
}

#[async_trait]
impl Fixture for MemoryFixture {
    type Store = MemorySagas;

    fn sagas(&self) -> MemorySagas {
        MemorySagas::new(&self.database)
    }

    async fn write(
        connection: &mut Connection,
        effect: &str,
    ) -> Result<(), mainstay_database::Error> {
        let mut statement = connection.statement().await?;
        let seq = statement.next_value("effects_seq");
        let text = effect.to_owned();
        assert_eq!(statement.insert(Effect { seq, text }).await?, Inserted::New);
        Ok(())
    }

    async fn effects(&self) -> Vec<String> {
        let mut tx = self.database.begin().await.unwrap();
        let statement = tx.statement().await.unwrap();
        let effects = statement.scan::<Effect>(..);
        effects.into_iter().map(|effect| effect.text).collect()
    }
}

mainstay_saga::conformance!(async {
    MemoryFixture {
        database: Database::new(),
    }
});

#[tokio::test]
async fn a_broken_run_among_ten_thousand_is_listed_and_stops_no_other() {
    const RUNS: usize = 10_000;
    let mut saga = Saga::new("reserve", 1);
    saga.step((), |order: &Order, ()| ReserveStock {
        order: order.id.clone(),
    });
    let (database, outbox) = (Database::new(), RecordingOutbox::<Connection>::new());
    let sagas = MemorySagas::new(&database);
    let reserve = Orchestrator::builder(saga.build(), sagas, outbox.clone());
    let reserve = reserve.build().unwrap();
    for first in (0..RUNS).step_by(100) {
        let mut tx = database.begin().await.unwrap();
        for id in first..first + 100 {
            let id = format!("o-{id}");
            let input = Order { id: id.clone() };
            let started = reserve.start(&mut tx, &id, &input).await.unwrap();
            assert!(started.is_new());
        }
        database.commit(tx).await.unwrap();
    }
    let reply = |(number, command): (usize, &Message)| {
        let hold = "h".to_owned();
        let message = Message::builder()
            .source("/stock")
            .event(&StockReserved { hold });
        let mut message = message.build().unwrap();
        message.causation_id = Some(command.id.to_string());
        if number == 4_321 {
            message.payload = None;
        }
        message
    };
    let replies: Vec<Message> = outbox.messages().iter().enumerate().map(reply).collect();
    for part in replies.chunks(100) {
        let mut tx = database.begin().await.unwrap();
        let part: Vec<&Message> = part.iter().collect();
        reserve.take(&mut tx, &part).await.unwrap();
        database.commit(tx).await.unwrap();
    }
    let desk = reserve.desk();
    let broken = desk.list(&Query::broken(), None, 10).await.unwrap().items;
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].key, "o-4321");
    let completed = Query::all().status(Status::Completed);
    assert_eq!(desk.count(&completed).await.unwrap(), RUNS as u64 - 1);
}
