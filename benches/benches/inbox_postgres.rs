//! The inbox in PostgreSQL beside the same processed records written by hand, on the server of `MAINSTAY_POSTGRES_URL`.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first error")]

use std::sync::LazyLock;

use mainstay_benches::{Bench, Comparison, Keys, Side, Took, Workload, timed};
use mainstay_database::postgres::Database;
use mainstay_inbox::{
    Inbox as _, PostgresInbox,
    postgres::{Combined, CombinedEffect, Effect},
};
use mainstay_messaging::{Delivery, Group, Message, Partition, Position, broker::Content};
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::PgConnection;

static CONSUMER: LazyLock<Group> = LazyLock::new(|| Group::from_static("billing"));

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let Some(server) = Server::for_suite("the benches of the inbox") else {
        return;
    };
    one(&bench, &server);
    admit_with(&bench, &server);
    batch(&bench, &server, 100);
}

/// An inbox in a database of its own, which has the application's table, too.
struct Service {
    database: Database,
    inbox: PostgresInbox,
    _server: TestDatabase,
}

fn service(bench: &Bench, server: &Server) -> Service {
    bench.runtime.block_on(async {
        let server = server.database().await.unwrap();
        let database = Database::connect(&server.url()).await.unwrap();
        let create = "CREATE TABLE effects (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body BYTEA NOT NULL)";
        sqlx::query(create).execute(database.pool()).await.unwrap();
        let inbox = PostgresInbox::builder(&database).open().await.unwrap();
        Service {
            database,
            inbox,
            _server: server,
        }
    })
}

/// Messages that were never seen, as a broker hands them over.
fn deliveries(count: usize) -> Vec<Delivery> {
    let messages = Workload::new(Keys::Uniform).messages(count);
    let partition = Partition {
        topic: Workload::topic(),
        number: 0,
    };
    (0..)
        .zip(messages)
        .map(|(offset, message)| Delivery {
            position: Position {
                partition: partition.clone(),
                offset,
            },
            content: Content::Message(message),
        })
        .collect()
}

fn message(delivery: &Delivery) -> &Message {
    match &delivery.content {
        Content::Message(message) => message,
        Content::Raw(_) => unreachable!("deliveries() makes messages"),
    }
}

async fn effect(connection: &mut PgConnection, delivery: &Delivery) {
    sqlx::query("INSERT INTO effects (body) VALUES ($1)")
        .bind(message(delivery).payload.as_deref())
        .execute(connection)
        .await
        .unwrap();
}

async fn processed_by_hand(connection: &mut PgConnection, delivery: &Delivery) {
    let (message, position) = (message(delivery), &delivery.position);
    let recorded = sqlx::query(
        "INSERT INTO inbox_processed (consumer, source, id, topic, partition, \"offset\")
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(CONSUMER.as_str())
    .bind(message.source.as_str())
    .bind(message.id.as_str())
    .bind(position.partition.topic.as_str())
    .bind(position.partition.number)
    .bind(position.offset)
    .execute(connection)
    .await
    .unwrap();
    assert_eq!(recorded.rows_affected(), 1);
}

/// One transaction per message: its effect, and its processed record as `record` says.
fn one_by_one(bench: &Bench, service: &Service, count: usize, record: Record) -> Took {
    let fresh = deliveries(count);
    let Service {
        database, inbox, ..
    } = service;
    timed(|| {
        bench.runtime.block_on(async {
            for delivery in &fresh {
                let mut tx = database.begin().await.unwrap();
                match record {
                    Record::Admitted => {
                        let admission = inbox.admit(&mut tx, &CONSUMER, delivery).await.unwrap();
                        assert!(admission.is_fresh());
                    }
                    Record::ByHand => processed_by_hand(&mut tx, delivery).await,
                    Record::None => {}
                }
                effect(&mut tx, delivery).await;
                database.commit(tx).await.unwrap();
            }
        });
    })
}

#[derive(Clone, Copy)]
enum Record {
    Admitted,
    ByHand,
    None,
}

fn one(bench: &Bench, server: &Server) {
    let name = "inbox on PostgreSQL: one message admitted in a transaction with an effect";
    if !bench.wants(name) {
        return;
    }
    let [ours, by_hand, bare] = [(); 3].map(|()| service(bench, server));
    let count = bench.scaled(100);
    let mut sides = [
        Side::new("inbox", || {
            one_by_one(bench, &ours, count, Record::Admitted)
        }),
        Side::new("effect and record by hand", || {
            one_by_one(bench, &by_hand, count, Record::ByHand)
        }),
        Side::new("effect alone", || {
            one_by_one(bench, &bare, count, Record::None)
        }),
    ];
    bench.compare(&Comparison::new(name, count), &mut sides);
}

fn one_by_one_combined(
    bench: &Bench,
    service: &Service,
    write: &CombinedEffect,
    count: usize,
) -> Took {
    let fresh = deliveries(count);
    timed(|| {
        bench.runtime.block_on(async {
            for delivery in &fresh {
                let mut connection = service.database.pool().acquire().await.unwrap();
                let body = message(delivery).payload.as_deref();
                let made = write
                    .admit(&mut connection, &CONSUMER, delivery, |q| q.bind(body))
                    .await
                    .unwrap();
                assert_ne!(made, Combined::Duplicate);
            }
        });
    })
}

fn admit_with(bench: &Bench, server: &Server) {
    let name = "inbox on PostgreSQL: one message admitted and its effect made in one statement";
    if !bench.wants(name) {
        return;
    }
    let [ours, by_hand, bare] = [(); 3].map(|()| service(bench, server));
    let write = ours
        .inbox
        .admit_with(&Effect::insert("effects", "body", "$1"));
    let count = bench.scaled(100);
    let mut sides = [
        Side::new("inbox", || one_by_one_combined(bench, &ours, &write, count)),
        Side::new("effect and record by hand", || {
            one_by_one(bench, &by_hand, count, Record::ByHand)
        }),
        Side::new("effect as a statement alone", || {
            let fresh = deliveries(count);
            timed(|| {
                bench.runtime.block_on(async {
                    for delivery in &fresh {
                        let mut connection = bare.database.pool().acquire().await.unwrap();
                        effect(&mut connection, delivery).await;
                    }
                });
            })
        }),
    ];
    let comparison = Comparison::new(name, count).target("effect and record by hand", 1.0);
    bench.compare(&comparison, &mut sides);
}

async fn effects(connection: &mut PgConnection, batch: &[Delivery]) {
    let bodies: Vec<_> = batch
        .iter()
        .map(|delivery| message(delivery).payload.as_deref())
        .collect();
    sqlx::query("INSERT INTO effects (body) SELECT * FROM UNNEST($1::bytea[])")
        .bind(bodies)
        .execute(connection)
        .await
        .unwrap();
}

async fn processed_set_by_hand(connection: &mut PgConnection, batch: &[Delivery]) {
    let (messages, positions): (Vec<_>, Vec<_>) =
        batch.iter().map(|d| (message(d), &d.position)).unzip();
    let source: Vec<_> = messages.iter().map(|m| m.source.as_str()).collect();
    let id: Vec<_> = messages.iter().map(|m| m.id.as_str()).collect();
    let topic: Vec<_> = positions
        .iter()
        .map(|p| p.partition.topic.as_str())
        .collect();
    let partition: Vec<_> = positions.iter().map(|p| p.partition.number).collect();
    let offset: Vec<_> = positions.iter().map(|p| p.offset).collect();
    let recorded: Vec<(String, String)> = sqlx::query_as(
        "INSERT INTO inbox_processed (consumer, source, id, topic, partition, \"offset\")
         SELECT $1, * FROM UNNEST($2::text[], $3::text[], $4::text[], $5::int4[], $6::int8[])
         ON CONFLICT DO NOTHING RETURNING source, id",
    )
    .bind(CONSUMER.as_str())
    .bind(source)
    .bind(id)
    .bind(topic)
    .bind(partition)
    .bind(offset)
    .fetch_all(connection)
    .await
    .unwrap();
    assert_eq!(recorded.len(), batch.len());
}

/// One transaction per batch: the effects in one statement, and the processed records as `record` says.
fn in_batches(bench: &Bench, service: &Service, count: usize, size: usize, record: Record) -> Took {
    let fresh = deliveries(count);
    let Service {
        database, inbox, ..
    } = service;
    timed(|| {
        bench.runtime.block_on(async {
            for batch in fresh.chunks(size) {
                let mut tx = database.begin().await.unwrap();
                match record {
                    Record::Admitted => {
                        let set: Vec<_> = batch.iter().collect();
                        let answers = inbox.admit_batch(&mut tx, &CONSUMER, &set).await.unwrap();
                        assert!(answers.iter().all(|answer| answer.is_fresh()));
                    }
                    Record::ByHand => processed_set_by_hand(&mut tx, batch).await,
                    Record::None => {}
                }
                effects(&mut tx, batch).await;
                database.commit(tx).await.unwrap();
            }
        });
    })
}

fn batch(bench: &Bench, server: &Server, size: usize) {
    let name =
        format!("inbox on PostgreSQL: batches of {size} admitted in transactions with effects");
    if !bench.wants(&name) {
        return;
    }
    let [ours, by_hand, bare] = [(); 3].map(|()| service(bench, server));
    let count = bench.scaled(2_000).max(size);
    let mut sides = [
        Side::new("inbox", || {
            in_batches(bench, &ours, count, size, Record::Admitted)
        }),
        Side::new("RETURNING by hand", || {
            in_batches(bench, &by_hand, count, size, Record::ByHand)
        }),
        Side::new("effects alone", || {
            in_batches(bench, &bare, count, size, Record::None)
        }),
    ];
    let comparison = Comparison::new(name, count).target("effects alone", 0.5);
    bench.compare(&comparison, &mut sides);
}
