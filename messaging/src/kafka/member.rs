//! A client that is a member of a group. Rebalances are noted, not answered.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    config::{FromClientConfigAndContext as _, RDKafkaLogLevel},
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::KafkaError,
    types::RDKafkaRespErr,
};

use super::{
    GroupProtocol,
    builder::Settings,
    client::{self, Trouble},
    config, error,
    line::{Incoming, Line},
    topics,
};
use crate::{Error, Group, broker::Partition};

pub(super) type Client = BaseConsumer<Membership>;

pub(super) struct Membership {
    settings: Arc<Settings>,
    /// Set when nobody decides any more: rebalances are answered at once.
    leaving: AtomicBool,
    rebalances: Mutex<Vec<Incoming>>,
    /// Whether something was logged since the last look.
    logged: AtomicBool,
    pub(super) trouble: Trouble,
}

impl Membership {
    pub(super) fn set_leaving(&self, leaving: bool) {
        self.leaving.store(leaving, Ordering::Release);
    }

    /// A poll that only served a log counts as nothing, but there may be more behind it.
    pub(super) fn has_logged(&self) -> bool {
        self.logged.swap(false, Ordering::Relaxed)
    }

    /// Rebalances since the last call.
    pub(super) fn rebalances(&self) -> Vec<Incoming> {
        std::mem::take(&mut *self.noted())
    }

    fn noted(&self) -> MutexGuard<'_, Vec<Incoming>> {
        self.rebalances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.logged.store(true, Ordering::Relaxed);
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble.note(error, reason);
    }
}

impl ConsumerContext for Membership {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        offered: &mut TopicPartitionList,
    ) {
        let partitions = partitions(&self.settings, offered);
        let assigned = what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.leaving.load(Ordering::Acquire) {
            // librdkafka waits for an answer, and would join no group before.
            if assigned {
                assign_nothing(consumer, &self.settings);
            } else {
                unassign(consumer, &self.settings, None);
            }
            self.noted().push(Incoming::Left);
        } else if assigned {
            self.noted().push(Incoming::Assigned(partitions));
        } else {
            let lost = consumer.assignment_lost();
            self.noted().push(Incoming::Revoked { partitions, lost });
        }
    }
}

/// A client that has not joined its group yet.
pub(super) fn client(
    settings: &Arc<Settings>,
    group: &Group,
    line: &Arc<Line>,
) -> Result<Client, Error> {
    let context = Membership {
        settings: Arc::clone(settings),
        leaving: AtomicBool::new(false),
        rebalances: Mutex::default(),
        logged: AtomicBool::new(false),
        trouble: Trouble::default(),
    };
    let mut client =
        BaseConsumer::from_config_and_context(&config::member(settings, group), context)
            .map_err(|cause| error::sort("starting a consumer", cause))?;
    let line = Arc::clone(line);
    client.set_nonempty_callback(move || line.stir());
    Ok(client)
}

/// Takes none of the partitions that are offered.
pub(super) fn assign_nothing(client: &Client, settings: &Settings) {
    let none = TopicPartitionList::new();
    let result = match settings.group_protocol {
        GroupProtocol::Eager => client.assign(&none),
        GroupProtocol::Cooperative | GroupProtocol::Consumer => client.incremental_assign(&none),
    };
    if let Err(error) = result {
        tracing::debug!(%error, "an assignment was not answered: the group has moved on");
    }
}

/// Gives back these of the assigned partitions, or all.
pub(super) fn unassign(client: &Client, settings: &Settings, partitions: Option<&[Partition]>) {
    let assigned = client
        .assignment()
        .map(|list| self::partitions(settings, &list))
        .unwrap_or_default();
    // A partition that was never assigned would make the whole call fail.
    let given_back: Vec<Partition> = assigned
        .into_iter()
        .filter(|partition| partitions.is_none_or(|these| these.contains(partition)))
        .collect();
    let result = match settings.group_protocol {
        GroupProtocol::Eager => client.unassign(),
        GroupProtocol::Cooperative | GroupProtocol::Consumer => {
            client.incremental_unassign(&list(settings, &given_back))
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, ?given_back, "partitions were not given back: the group has moved on");
    }
}

pub(super) fn partitions(settings: &Settings, list: &TopicPartitionList) -> Vec<Partition> {
    list.elements()
        .iter()
        .filter_map(|element| {
            Some(Partition {
                topic: topics::plain(settings, element.topic())?,
                number: element.partition(),
            })
        })
        .collect()
}

pub(super) fn list(settings: &Settings, partitions: &[Partition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&topics::full(settings, &partition.topic), partition.number);
    }
    list
}
