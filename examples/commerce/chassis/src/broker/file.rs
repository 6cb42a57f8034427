//! The log in a SQLite file, `broker.db`.

use std::{collections::HashMap, fmt, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use commerce_contracts::{TOPICS, topics_of};
use mainstay_database::{Namespace, sqlite::Database};
use mainstay_messaging::{Publisher, StartAt, broker::Consumer, sqlite};

use super::{Broker, LogContents, LogId, LogPartition, LogProgress, LogRecord, OpenBroker, Place};
use crate::{FileSnapshot, Result, deployment::LEASE};

const PARTITIONS: &str =
    "SELECT id, topic, number, first_offset, next_offset FROM broker_partitions ORDER BY id";
const RECORDS: &str = "SELECT id >> 40, id & ((1 << 40) - 1), key, envelope, payload
    FROM broker_records WHERE $1 IS NULL OR key = $1 ORDER BY id";
const NEWEST: &str = "SELECT coalesce(max(appended_at), 0) FROM broker_records";
const COMMITTED: &str = "SELECT grp, partition, committed FROM broker_claims";
const UNREAD: &str = "SELECT c.grp, CAST(sum(p.next_offset - c.committed) AS BIGINT)
    FROM broker_claims c JOIN broker_partitions p ON p.id = c.partition WHERE c.committed < p.next_offset GROUP BY c.grp";

const APPENDED: &str =
    "SELECT CAST(coalesce(sum(next_offset), 0) AS BIGINT) FROM broker_partitions";

#[derive(Debug)]
pub(super) struct FilePlace {
    data: PathBuf,
    remedy: &'static str,
}

/// The broker, and its file.
#[derive(Debug)]
struct Open {
    file: Database,
    broker: sqlite::Broker,
}

impl FilePlace {
    pub(super) const fn new(data: PathBuf, remedy: &'static str) -> Self {
        Self { data, remedy }
    }

    async fn snapshot(&self) -> Result<FileSnapshot> {
        FileSnapshot::open(&self.data, "broker").await
    }
}

#[async_trait]
impl Place for FilePlace {
    async fn open(&self, partitions: u16) -> Result<Broker> {
        let file = Database::open(self.data.join("broker.db")).await?;
        // The database's own runner migrates first: its error names the newer schema.
        file.migrate(&sqlite::MIGRATIONS, &Namespace::plain())
            .await?;
        let broker = sqlite::Broker::builder_on(&file)
            .lease(LEASE)
            .revocation_timeout(LEASE / 2)
            .open()
            .await?;
        for topic in TOPICS {
            broker.create_topic(*topic, partitions).await?;
        }
        Ok(Arc::new(Open { file, broker }))
    }

    async fn id(&self) -> Result<LogId> {
        let Some(mut log) = FileSnapshot::find(&self.data, "broker").await? else {
            return Ok(LogId::Missing);
        };
        let exists: Vec<(bool,)> = log
            .all("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'broker_identity')")
            .await?;
        let mut found: Vec<(String,)> = Vec::new();
        if exists.contains(&(true,)) {
            found = log.all("SELECT id FROM broker_identity").await?;
        }
        log.close().await?;
        Ok(found.pop().map_or(LogId::Unnamed, |(id,)| LogId::Of(id)))
    }

    async fn read(&self, key: Option<&str>) -> Result<LogContents> {
        type Row = (i64, i64, Option<String>, String, Option<Vec<u8>>);
        let mut log = self.snapshot().await?;
        let partitions: Vec<(i64, String, i64, i64, i64)> = log.all(PARTITIONS).await?;
        let records: Vec<Row> = log.all_of(RECORDS, &[key]).await?;
        let newest: Vec<(i64,)> = log.all(NEWEST).await?;
        let committed: Vec<(String, i64, i64)> = log.all(COMMITTED).await?;
        log.close().await?;
        let partition = |(id, topic, number, first, next)| LogPartition {
            id,
            topic,
            number,
            first,
            next,
        };
        let record = |(partition, offset, key, envelope, payload)| LogRecord {
            partition,
            offset,
            key,
            envelope: Some(envelope),
            payload,
        };
        let committed = committed.into_iter();
        let committed = committed.map(|(group, partition, offset)| ((group, partition), offset));
        Ok(LogContents {
            partitions: partitions.into_iter().map(partition).collect(),
            records: records.into_iter().map(record).collect(),
            newest: newest.first().map_or(0, |(at,)| *at),
            committed: committed.collect::<HashMap<_, _>>(),
        })
    }

    async fn progress(&self, services: &[&'static str]) -> Result<LogProgress> {
        let mut log = self.snapshot().await?;
        let found: Vec<(String, i64)> = log.all(UNREAD).await?;
        let appended: Vec<(i64,)> = log.all(APPENDED).await?;
        log.close().await?;
        let of_services = found
            .iter()
            .filter(|(group, _)| services.contains(&&**group));
        Ok(LogProgress {
            unread: of_services.map(|(_, records)| records).sum(),
            appended: appended.iter().map(|(records,)| records).sum(),
        })
    }

    fn remedy(&self) -> &'static str {
        self.remedy
    }
}

impl fmt::Display for FilePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in {}", self.data.display())
    }
}

#[async_trait]
impl OpenBroker for Open {
    fn log_id(&self) -> String {
        self.broker.id().to_string()
    }

    fn publisher(&self) -> Arc<dyn Publisher> {
        Arc::new(self.broker.publisher())
    }

    async fn subscribe(&self, service: &'static str) -> Result<Box<dyn Consumer>> {
        let consumer = self.broker.consumer(service).start_at(StartAt::Earliest);
        Ok(Box::new(consumer.subscribe(topics_of(service)).await?))
    }

    /// Otherwise SQLite would apply the old write-ahead log to a file that an operator puts in
    /// the place of this one.
    async fn close(&self) {
        self.file.close().await;
    }
}
