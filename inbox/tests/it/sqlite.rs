//! Marks in a SQLite file, read from the log in another.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use mainstay_clock::{SystemClock, SystemIds};
use mainstay_database::{Namespace, sqlite::Database};
use mainstay_inbox::{HandlerError, Handlers, Received, Worker, sqlite::SqliteInbox};
use mainstay_messaging::{
    Group, Key, Kind, Message, Publisher, Source, StartAt, Topic,
    event::{Event, encode},
    sqlite::{Broker, Options},
};
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;
use tokio_util::sync::CancellationToken;

#[derive(Serialize, Deserialize)]
struct Counted {
    number: i64,
}

impl Event for Counted {
    const KIND: &'static str = "Counted";
    const VERSION: u32 = 1;
}

#[derive(Serialize, Deserialize)]
struct Other {}

impl Event for Other {
    const KIND: &'static str = "Other";
    const VERSION: u32 = 1;
}

async fn write(
    _state: (),
    connection: &mut SqliteConnection,
    received: Received<Counted>,
) -> Result<(), HandlerError> {
    sqlx::query("INSERT INTO effects (number) VALUES ($1)")
        .bind(received.event.number)
        .execute(connection)
        .await
        .map_err(HandlerError::retryable)?;
    Ok(())
}

#[tokio::test]
async fn thin() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("service.db"))
        .await
        .unwrap();
    let log = Database::open(directory.path().join("log.db"))
        .await
        .unwrap();
    let broker = Broker::open(log, Options::default()).await.unwrap();
    let topic = Topic::from_static("t");
    broker.create_topic(&topic, 2).await.unwrap();
    let inbox = SqliteInbox::new(database.clone(), Namespace::plain());
    inbox.migrate().await.unwrap();
    {
        use mainstay_database::Transactions as _;
        let mut tx = database.begin().await.unwrap();
        sqlx::query("CREATE TABLE effects (number INTEGER)")
            .execute(&mut *tx)
            .await
            .unwrap();
        database.commit(tx).await.unwrap();
    }
    let mut messages = Vec::new();
    for number in 0..50 {
        let mut message = Message::new(
            Source::from_static("/s"),
            topic.clone(),
            Kind::from_static("Counted"),
            "",
            &SystemClock::new(),
            &SystemIds::new(),
        );
        encode(&Counted { number }, &mut message).unwrap();
        let message = message.with_key(Key::new(format!("k{}", number % 5)).unwrap());
        messages.push(message.clone());
        messages.push(message);
    }
    for answer in broker.publisher().publish(&messages).await {
        assert!(answer.is_acknowledged());
    }
    let group = Group::from_static("g");
    let handlers = Handlers::new()
        .on::<Counted, _, _>((), write)
        .on::<Other, _, _>(
            7,
            |state: i32, _: &mut SqliteConnection, _: Received<Other>| {
                Box::pin(async move {
                    assert_eq!(state, 7);
                    Ok(())
                })
            },
        );
    let worker = Worker::new(
        group.clone(),
        Arc::new(database.clone()),
        Arc::new(inbox),
        handlers,
    );
    let shutdown = CancellationToken::new();
    let consumer = broker.consumer(group, &[topic], StartAt::Earliest);
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { worker.run(consumer, stop).await });
    let started = SystemTime::UNIX_EPOCH;
    let _ = started;
    loop {
        let (count, distinct): (i64, i64) =
            sqlx::query_as("SELECT count(*), count(DISTINCT number) FROM effects")
                .fetch_one(database.reader())
                .await
                .unwrap();
        assert_eq!(count, distinct);
        if count == 50 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shutdown.cancel();
    running.await.unwrap().unwrap();
}
