//! Commits whose answer is lost, and what a step costs on the way to the server.

use mainstay_database::postgres::Database;
use mainstay_saga::{PostgresSagas, Status, journal::Entry};
use mainstay_testkit::{Lost, Wire};

use super::{PostgresFixture, fixture};
use crate::{
    orders::{Paid, StockReserved},
    stores::{Process, commands, journal, patient, process, reply, start, take, until_done},
};

type OverAWire = Process<PostgresFixture, PostgresSagas>;

/// The service behind a wire, with one connection.
async fn over_a_wire(f: &PostgresFixture) -> (Wire, Database, OverAWire) {
    let (wire, url) = f.server.over_a_wire().await.unwrap();
    let database = Database::builder(super::as_service(&url)).max_connections(1);
    let database = database.open().await.unwrap();
    let sagas = super::sagas_in(&database).await;
    (wire, database, process(sagas, patient()))
}

fn reserved(run: &str) -> mainstay_saga::messaging::Message {
    let hold = "h".to_owned();
    reply(&format!("{run}:ReserveStock:1"), &StockReserved { hold })
}

#[tokio::test]
async fn a_start_whose_commit_is_lost_is_one_run() {
    for what in [Lost::Answer, Lost::Commit] {
        let Some(f) = fixture().await else { return };
        let (wire, _, sagas) = over_a_wire(&f).await;
        wire.lose(what, 1);
        let unknown = start(&sagas, "k1").await.unwrap_err();
        assert!(unknown.is_retryable(), "{unknown}");
        assert_eq!(wire.lost(), 1);
        let started = until_done(async || start(&sagas, "k1").await).await;
        assert_eq!(started.is_new(), what == Lost::Commit, "{what:?}");
        let expected = [format!("{}:ReserveStock:1", started.run())];
        assert_eq!(commands(&f, "k1").await, expected, "{what:?}");
    }
}

#[tokio::test]
async fn a_reply_whose_commit_is_lost_is_one_transition() {
    for what in [Lost::Answer, Lost::Commit] {
        let Some(f) = fixture().await else { return };
        let (wire, _, sagas) = over_a_wire(&f).await;
        let started = start(&sagas, "k1").await.unwrap();
        let run = started.run();
        let replies = [reserved(run.as_str())];
        wire.lose(what, 1);
        take(&sagas, &replies).await.unwrap_err();
        assert_eq!(wire.lost(), 1);
        until_done(async || take(&sagas, &replies).await).await;
        let journal = journal(&sagas, run).await;
        let done = journal
            .iter()
            .filter(|entry| matches!(entry, Entry::Done { .. }));
        assert_eq!(done.count(), 1, "{what:?}: {journal:?}");
        let expected = ["ReserveStock:1", "Pay:1"].map(|step| format!("{run}:{step}"));
        assert_eq!(commands(&f, "k1").await, expected, "{what:?}");
        let receipt = "1".to_owned();
        let paid = reply(&expected[1], &Paid { receipt });
        until_done(async || take(&sagas, std::slice::from_ref(&paid)).await).await;
        let shown = sagas.desk().show(run).await.unwrap();
        assert_eq!(shown.summary.status, Status::Completed);
    }
}

/// Round trips of a transaction in which nothing is done.
async fn empty_transaction(wire: &Wire, database: &Database) -> usize {
    let before = wire.round_trips();
    let tx = database.begin().await.unwrap();
    database.commit(tx).await.unwrap();
    wire.round_trips() - before
}

#[tokio::test]
async fn a_start_takes_one_statement_beside_its_command() {
    let Some(f) = fixture().await else { return };
    let (wire, database, sagas) = over_a_wire(&f).await;
    // Statements are prepared the first time.
    assert!(start(&sagas, "k1").await.unwrap().is_new());
    let empty = empty_transaction(&wire, &database).await;
    let before = wire.round_trips();
    assert!(start(&sagas, "k2").await.unwrap().is_new());
    assert_eq!(wire.round_trips() - before - empty, 2);
}

/// The outbox of these tests writes its messages one by one; a real one writes a set.
#[tokio::test]
async fn a_step_takes_two_statements_however_many_runs_advance_together() {
    let Some(f) = fixture().await else { return };
    let (wire, database, sagas) = over_a_wire(&f).await;
    let mut replies = Vec::new();
    for number in 0..52 {
        let started = start(&sagas, &format!("k{number}")).await.unwrap();
        replies.push(reserved(started.run().as_str()));
    }
    // Statements are prepared the first time.
    take(&sagas, &replies[..1]).await.unwrap();
    let empty = empty_transaction(&wire, &database).await;
    for advanced in [1..2, 2..52] {
        let messages = advanced.len();
        let before = (wire.round_trips(), wire.commits());
        take(&sagas, &replies[advanced]).await.unwrap();
        let trips = wire.round_trips() - before.0 - empty - messages;
        assert_eq!(trips, 2, "lock and save {messages} runs");
        assert_eq!(wire.commits() - before.1, 1);
    }
}
