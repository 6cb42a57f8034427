//! The broker's file: what is in it, and what was stored in it on the way.

use mainstay_database::{Transactions as _, sqlite};
use mainstay_messaging::{Topic, envelope, event};
use mainstay_testkit::history::{Entry, Moment, Offset, Ownership, Published, Reader};

use crate::{Entered, Failure};

/// What the triggers of [`watch`] wrote down.
pub(crate) struct Told {
    pub(crate) offsets: Vec<Offset>,
    pub(crate) takings: Vec<Ownership>,
}

/// Has every stored offset and every change of owner written down, in a broker's file where nobody reads yet.
pub async fn watch(file: &sqlite::Database) -> Result<(), Failure> {
    let mut tx = file.begin().await?;
    sqlx::raw_sql(include_str!("log.sql"))
        .execute(&mut *tx)
        .await?;
    Ok(file.commit(tx).await?)
}

/// The whole log, partition by partition: from the file itself, which can be read whoever is stopped within a transaction on it.
pub async fn published(file: &sqlite::Database) -> Result<Vec<Published>, Failure> {
    const LOG: &str = "SELECT p.topic, p.number, r.id & 0xFFFFFFFFFF, r.key, r.envelope, r.payload
        FROM broker_records r JOIN broker_partitions p ON p.id = r.id >> 40 ORDER BY r.id";
    let records: Vec<Row> = sqlx::query_as(LOG).fetch_all(file.reader()).await?;
    records.into_iter().map(record_of).collect()
}

type Row = (String, i32, i64, String, String, Vec<u8>);

fn record_of((name, partition, offset, key, text, payload): Row) -> Result<Published, Failure> {
    let unreadable = || Failure::Unreadable(format!("the record {text}"));
    let topic = Topic::new(&*name).map_err(|_| unreadable())?;
    let message =
        envelope::read(&text, topic, None, Some(payload.into())).map_err(|_| unreadable())?;
    let Entered { number, attempt } = event::decode(&message).map_err(|_| unreadable())?;
    let entry = Entry {
        key: Some(key),
        number,
        id: message.id.to_string(),
        attempt,
    };
    Ok(Published {
        topic: name,
        partition,
        offset,
        entry,
    })
}

/// Which groups have ever read which topics.
pub(crate) async fn readers(file: &sqlite::Database) -> Result<Vec<Reader>, Failure> {
    const READERS: &str = "SELECT DISTINCT c.grp, p.topic
        FROM broker_claims c JOIN broker_partitions p ON p.id = c.partition";
    let readers: Vec<(String, String)> = sqlx::query_as(READERS).fetch_all(file.reader()).await?;
    let reader = |(consumer, topic)| Reader { consumer, topic };
    Ok(readers.into_iter().map(reader).collect())
}

pub(crate) async fn told(file: &sqlite::Database) -> Result<Told, Failure> {
    const OFFSETS: &str = "SELECT o.grp, p.topic, p.number, o.committed
        FROM chaos_offsets o JOIN broker_partitions p ON p.id = o.partition ORDER BY o.seq";
    const TAKINGS: &str = "SELECT t.grp || ' of ' || p.topic || '/' || p.number, t.epoch, t.member
        FROM chaos_takings t JOIN broker_partitions p ON p.id = t.partition ORDER BY t.seq";
    let offsets: Vec<(String, String, i32, i64)> =
        sqlx::query_as(OFFSETS).fetch_all(file.reader()).await?;
    let takings: Vec<(String, i64, String)> =
        sqlx::query_as(TAKINGS).fetch_all(file.reader()).await?;
    let offset = |(consumer, topic, partition, offset)| Offset {
        consumer,
        topic,
        partition,
        offset,
        seen: Moment::default(),
    };
    let taking = |(shard, fence, by)| Ownership::Taken { shard, fence, by };
    Ok(Told {
        offsets: offsets.into_iter().map(offset).collect(),
        takings: takings.into_iter().map(taking).collect(),
    })
}
