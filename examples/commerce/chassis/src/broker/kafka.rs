//! The log on a cluster of Kafka.

use std::{borrow::Cow, collections::HashMap, fmt, sync::Arc};

use async_trait::async_trait;
use commerce_contracts::{SUBSCRIPTIONS, TOPICS, topics_of};
use mainstay_messaging::{
    Group, Partition, Publisher, StartAt,
    broker::{Consumer, Content, Delivery},
    envelope, kafka,
};
use tokio::sync::OnceCell;

use super::{Broker, LogContents, LogId, LogPartition, LogProgress, LogRecord, OpenBroker, Place};
use crate::{Error, Result, deployment::LEASE};

/// A cluster, and the beginning of the names of this deployment's topics and groups there.
#[derive(Debug)]
pub(super) struct KafkaPlace {
    servers: String,
    prefix: String,
    /// Once it has answered.
    broker: OnceCell<kafka::Broker>,
}

#[derive(Debug)]
struct Open {
    broker: kafka::Broker,
    id: String,
}

impl KafkaPlace {
    pub(super) fn new(servers: &str, prefix: &str) -> Result<Self> {
        let is_server = |server: &str| {
            let named = server.rsplit_once(':');
            named.is_some_and(|(host, port)| {
                !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
            })
        };
        if !servers.split(',').map(str::trim).all(is_server) {
            return Err(Error::Setting {
                what: "kafka is invalid: expected HOST:PORT, or several with commas between them",
            });
        }
        let fits = prefix.len() <= 40
            && prefix.starts_with(|first: char| first.is_ascii_lowercase())
            && prefix.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte)
            });
        if !fits {
            return Err(Error::Setting {
                what: "kafka-prefix is invalid: expected at most 40 characters of a-z, 0-9, _, - and ., a letter first",
            });
        }
        Ok(Self {
            servers: servers.to_owned(),
            prefix: prefix.to_owned(),
            broker: OnceCell::new(),
        })
    }

    async fn broker(&self) -> Result<&kafka::Broker> {
        let open = async || {
            let broker = kafka::Broker::builder(&*self.servers)
                .namespace(&*self.prefix)
                .client_id("commerce");
            broker.revocation_timeout(10 * LEASE).open().await
        };
        Ok(self.broker.get_or_try_init(open).await?)
    }

    /// The cluster's id. Two deployments on one cluster do not share a log, so the prefix belongs to it.
    fn log_id(&self, broker: &kafka::Broker) -> String {
        format!("{}{}", self.prefix, broker.id())
    }
}

#[async_trait]
impl Place for KafkaPlace {
    async fn open(&self, partitions: u16) -> Result<Broker> {
        let broker = self.broker().await?;
        for topic in TOPICS {
            broker.create_topic(*topic, partitions).await?;
        }
        Ok(Arc::new(Open {
            id: self.log_id(broker),
            broker: broker.clone(),
        }))
    }

    async fn id(&self) -> Result<LogId> {
        Ok(LogId::Of(self.log_id(self.broker().await?)))
    }

    /// The offsets first: no service has then committed what is not read.
    async fn read(&self, key: Option<&str>) -> Result<LogContents> {
        let broker = self.broker().await?;
        let mut progress = Vec::new();
        for service in services() {
            let group = Group::from_static(service);
            progress.push((service, broker.progress(&group).await?));
        }
        let mut reader = broker.read(TOPICS.iter().copied()).await?;
        let mut contents = LogContents::default();
        let mut ids = HashMap::new();
        for (id, (partition, first, next)) in (1..).zip(reader.partitions()) {
            ids.insert(partition.clone(), id);
            contents.partitions.push(LogPartition {
                id,
                topic: partition.topic.to_string(),
                number: partition.number.into(),
                first: *first,
                next: *next,
            });
        }
        let id_of = |partition: &Partition| ids.get(partition).copied().unwrap_or(0);
        while let Some(deliveries) = reader.next().await? {
            let wanted = deliveries.into_iter().map(|delivery| {
                let partition = &delivery.position.partition;
                record(id_of(partition), delivery)
            });
            let wanted = wanted.filter(|record| key.is_none() || record.key.as_deref() == key);
            contents.records.extend(wanted);
        }
        contents.newest = reader.newest().unwrap_or(0);
        contents
            .records
            .sort_by_key(|record| (record.partition, record.offset));
        for (service, partitions) in progress {
            let committed = partitions.into_iter().map(|(partition, at, _)| {
                let key = (service.to_owned(), id_of(&partition));
                (key, at)
            });
            contents.committed.extend(committed);
        }
        Ok(contents)
    }

    async fn progress(&self, services: &[&'static str]) -> Result<LogProgress> {
        let broker = self.broker().await?;
        let mut committed = HashMap::new();
        for service in services {
            for (partition, at, _) in broker.progress(&Group::from_static(service)).await? {
                committed.insert((*service, partition), at);
            }
        }
        let reader = broker.read(TOPICS.iter().copied()).await?;
        let mut progress = LogProgress::default();
        for (partition, first, next) in reader.partitions() {
            progress.appended += next;
            let topic = partition.topic.as_str();
            let readers = SUBSCRIPTIONS.iter().filter(|it| it.topic == topic);
            for reads in readers.filter(|it| services.contains(&it.service)) {
                let at = committed.get(&(reads.service, partition.clone()));
                progress.unread += (next - at.unwrap_or(first)).max(0);
            }
        }
        Ok(progress)
    }

    fn remedy(&self) -> &'static str {
        "start with the --kafka and --kafka-prefix of that log, or start over with a new --kafka-prefix and a new --postgres-prefix"
    }
}

impl fmt::Display for KafkaPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on Kafka at {}, topics {}*", self.servers, self.prefix)
    }
}

/// Each service that subscribes, once.
fn services() -> Vec<&'static str> {
    let mut services: Vec<&'static str> = SUBSCRIPTIONS.iter().map(|it| it.service).collect();
    services.sort_unstable();
    services.dedup();
    services
}

fn record(partition: i64, delivery: Delivery) -> LogRecord {
    let offset = delivery.position.offset;
    let (key, envelope, payload) = match delivery.content {
        Content::Message(message) => (
            message.key.as_ref().map(|key| key.as_str().to_owned()),
            Some(envelope::write(&message)),
            message.payload,
        ),
        Content::Raw(raw) => {
            let key = raw.key.as_deref().map(String::from_utf8_lossy);
            (key.map(Cow::into_owned), None, raw.payload)
        }
    };
    LogRecord {
        partition,
        offset,
        key,
        envelope,
        payload: payload.map(|payload| payload.to_vec()),
    }
}

#[async_trait]
impl OpenBroker for Open {
    fn log_id(&self) -> String {
        self.id.clone()
    }

    fn publisher(&self) -> Arc<dyn Publisher> {
        Arc::new(self.broker.publisher())
    }

    async fn subscribe(&self, service: &'static str) -> Result<Box<dyn Consumer>> {
        let consumer = self.broker.consumer(service).start_at(StartAt::Earliest);
        Ok(Box::new(consumer.subscribe(topics_of(service)).await?))
    }

    /// Nothing is left to close: what was acknowledged is on the cluster.
    async fn close(&self) {}
}
