//! The broker's file: what is in it, and what was stored in it on the way.

use mainstay_chaos::Entered;
use mainstay_database::{postgres::sqlx, sqlite};
use mainstay_messaging::{Topic, envelope, event};
use mainstay_testkit::history::{Entry, Moment, Offset, Ownership, Published, Reader};

/// Has every stored offset and every change of owner written down, in a broker's file where nobody reads yet.
pub(super) async fn watch(file: &sqlite::Database) {
    let mut tx = file.begin().await.unwrap();
    let triggers = sqlx::raw_sql(include_str!("log.sql"));
    triggers.execute(&mut *tx).await.unwrap();
    file.commit(tx).await.unwrap();
}

/// The whole log, partition by partition: from the file itself, which can be read whoever is stopped within a transaction on it.
pub(super) async fn published(file: &sqlite::Database) -> Vec<Published> {
    const LOG: &str = "SELECT p.topic, p.number, r.id & 0xFFFFFFFFFF, r.key, r.envelope, r.payload
        FROM broker_records r JOIN broker_partitions p ON p.id = r.id >> 40 ORDER BY r.id";
    let records: Vec<_> = sqlx::query_as(LOG).fetch_all(file.reader()).await.unwrap();
    records.into_iter().map(record_of).collect()
}

type Row = (String, i32, i64, String, String, Vec<u8>);

fn record_of((topic, partition, offset, key, text, payload): Row) -> Published {
    let name = Topic::new(&*topic).unwrap();
    let message = envelope::read(&text, name, None, Some(payload.into()));
    let message = message.unwrap();
    let Entered { number, attempt } = event::decode(&message).unwrap();
    Published {
        topic,
        partition,
        offset,
        entry: Entry {
            key: Some(key),
            number,
            id: message.id.to_string(),
            attempt,
        },
    }
}

/// Which groups have ever read which topics.
pub(super) async fn readers(file: &sqlite::Database) -> Vec<Reader> {
    const READERS: &str = "SELECT DISTINCT c.grp, p.topic
        FROM broker_claims c JOIN broker_partitions p ON p.id = c.partition";
    let readers: Vec<_> = sqlx::query_as(READERS)
        .fetch_all(file.reader())
        .await
        .unwrap();
    let reader = |(consumer, topic)| Reader { consumer, topic };
    readers.into_iter().map(reader).collect()
}

/// What the triggers of [`watch`] wrote down.
pub(super) async fn told(file: &sqlite::Database) -> (Vec<Offset>, Vec<Ownership>) {
    const OFFSETS: &str = "SELECT o.grp, p.topic, p.number, o.committed
        FROM chaos_offsets o JOIN broker_partitions p ON p.id = o.partition ORDER BY o.seq";
    const TAKINGS: &str = "SELECT t.grp || ' of ' || p.topic || '/' || p.number, t.epoch, t.member
        FROM chaos_takings t JOIN broker_partitions p ON p.id = t.partition ORDER BY t.seq";
    let offsets: Vec<_> = sqlx::query_as(OFFSETS)
        .fetch_all(file.reader())
        .await
        .unwrap();
    let takings: Vec<_> = sqlx::query_as(TAKINGS)
        .fetch_all(file.reader())
        .await
        .unwrap();
    let offset = |(consumer, topic, partition, offset)| Offset {
        consumer,
        topic,
        partition,
        offset,
        seen: Moment::default(),
    };
    let taking = |(shard, fence, by)| Ownership::Taken { shard, fence, by };
    (
        offsets.into_iter().map(offset).collect(),
        takings.into_iter().map(taking).collect(),
    )
}
