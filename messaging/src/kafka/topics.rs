//! Topics of the cluster.

use std::{collections::HashMap, sync::Arc, time::Duration};

use rdkafka::{
    ClientContext,
    admin::{
        AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier,
        ResourceSpecifier, TopicReplication,
    },
    client::{Client, DefaultClientContext},
    config::FromClientConfig as _,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
    types::RDKafkaRespErr,
};

use super::{builder::Settings, client, config, error};
use crate::{Error, Partition, Topic};

/// What a batch may have in a topic whose limit cannot be read, in bytes.
const USUAL_LIMIT: usize = 1_000_000;

/// The name of a topic in the cluster.
pub(super) fn full(settings: &Settings, topic: &Topic) -> String {
    format!("{}{topic}", settings.namespace)
}

/// The topic with this name in the cluster, unless it belongs to another namespace.
pub(super) fn plain(settings: &Settings, full: &str) -> Option<Topic> {
    full.strip_prefix(&settings.namespace)
        .and_then(|name| Topic::new(name).ok())
}

/// How many partitions a topic has, from the cluster itself; none = it does not exist.
pub(super) fn partitions<C: ClientContext>(
    client: &Client<C>,
    full: &str,
    timeout: Duration,
) -> KafkaResult<Option<i32>> {
    let metadata = client.fetch_metadata(Some(full), timeout)?;
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == full) else {
        return Ok(None);
    };
    match topic.error() {
        None => Ok(i32::try_from(topic.partitions().len()).ok()),
        Some(
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
            | RDKafkaRespErr::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
        ) => Ok(None),
        Some(other) => Err(KafkaError::MetadataFetch(Code::from(other))),
    }
}

/// Every partition of those `topics` that exist.
pub(super) fn all_partitions<C: ClientContext>(
    client: &Client<C>,
    settings: &Settings,
    topics: &[Topic],
    timeout: Duration,
) -> KafkaResult<Vec<Partition>> {
    let mut all = Vec::new();
    for topic in topics {
        let count = partitions(client, &full(settings, topic), timeout)?.unwrap_or(0);
        all.extend((0..count).map(|number| Partition {
            topic: topic.clone(),
            number,
        }));
    }
    Ok(all)
}

/// Creates a topic. One that exists keeps what it has.
pub(super) async fn create(
    settings: &Arc<Settings>,
    topic: &Topic,
    partitions: u16,
) -> Result<(), Error> {
    const DOING: &str = "creating a topic";
    let name = full(settings, topic);
    let replicas = settings.replication.map_or(-1, i32::from);
    let new = NewTopic::new(
        &name,
        i32::from(partitions),
        TopicReplication::Fixed(replicas),
    );
    let results = with_admin(settings, DOING, async |admin, options| {
        admin.create_topics([&new], options).await
    })
    .await?;
    for result in results {
        match result {
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(error::sort(DOING, KafkaError::AdminOp(code))),
        }
    }
    // The controller has it; the node that this program asks next may hear of it a moment later.
    client::ask(settings, DOING, move |client, timeout| {
        let known = self::partitions(client, &name, timeout)?;
        known
            .map(|_| ())
            .ok_or(KafkaError::AdminOp(Code::UnknownTopicOrPartition))
    })
    .await
}

/// The limit of each of these topics on the size of a batch, in bytes.
pub(super) async fn limits(
    settings: &Arc<Settings>,
    topics: &[Topic],
) -> Result<HashMap<Topic, usize>, Error> {
    let usual = settings.max_message_size.unwrap_or(USUAL_LIMIT);
    let mut limits: HashMap<Topic, usize> =
        topics.iter().map(|topic| (topic.clone(), usual)).collect();
    if settings.max_message_size.is_some() {
        return Ok(limits);
    }
    let names: Vec<String> = topics.iter().map(|topic| full(settings, topic)).collect();
    let described = with_admin(
        settings,
        "reading the limits of topics",
        async |admin, options| {
            let resources: Vec<_> = names
                .iter()
                .map(|name| ResourceSpecifier::Topic(name))
                .collect();
            admin.describe_configs(&resources, options).await
        },
    )
    .await;
    let described = match described {
        Ok(described) => described,
        Err(refused @ Error::Refused(_)) => {
            tracing::warn!(
                error = &refused as &dyn std::error::Error,
                limit = USUAL_LIMIT,
                "the largest size of messages cannot be read from the cluster, a usual one is assumed"
            );
            return Ok(limits);
        }
        Err(error) => return Err(error),
    };
    for resource in described {
        match resource {
            Ok(resource) => {
                if let Some((topic, limit)) = limit(settings, &resource) {
                    limits.insert(topic, limit);
                }
            }
            Err(code) => tracing::warn!(
                %code,
                limit = USUAL_LIMIT,
                "the largest size of messages cannot be read from the cluster, a usual one is assumed"
            ),
        }
    }
    Ok(limits)
}

fn limit(settings: &Settings, resource: &ConfigResource) -> Option<(Topic, usize)> {
    let OwnedResourceSpecifier::Topic(name) = &resource.specifier else {
        return None;
    };
    let entry = resource.get("max.message.bytes")?;
    let limit = entry.value.as_ref()?.parse().ok()?;
    Some((plain(settings, name)?, limit))
}

/// An admin client lives for one request: it does not serve its logs, which would pile up.
async fn with_admin<T>(
    settings: &Settings,
    doing: &'static str,
    request: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> KafkaResult<T>,
) -> Result<T, Error> {
    let sort = |cause| error::sort(doing, cause);
    let admin = AdminClient::from_config(&config::common(settings)).map_err(sort)?;
    let timeout = Some(settings.request_timeout);
    let options = AdminOptions::new()
        .request_timeout(timeout)
        .operation_timeout(timeout);
    let answer = request(&admin, &options).await.map_err(sort);
    // It waits for its thread.
    drop(tokio::task::spawn_blocking(move || drop(admin)));
    answer
}
