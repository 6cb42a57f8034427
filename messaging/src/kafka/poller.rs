//! The thread that polls librdkafka. It forwards, and does as it is told; it decides nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rdkafka::{Message as _, consumer::Consumer as _, error::KafkaResult};

use super::{
    GroupProtocol,
    builder::Settings,
    error,
    line::{Command, Incoming, Line, Record, Task},
    member::{Client, assign_nothing, list, unassign},
    names::Names,
    record,
    starts::offsets,
    topics,
};
use crate::{
    Error, Topic,
    broker::{Delivery, Partition, Position},
};

pub(super) struct Poller {
    settings: Arc<Settings>,
    line: Arc<Line>,
    client: Arc<Client>,
    /// Topics by their names in the cluster.
    topics: BTreeMap<String, Topic>,
    /// What is forwarded next, and how many bytes that is.
    records: Vec<Record>,
    bytes: usize,
    names: Names,
    /// What librdkafka waits for.
    unanswered: Option<Unanswered>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unanswered {
    Assignment,
    Revocation,
}

/// Records that are forwarded at once, at most.
const PORTION: usize = 1_000;

/// How long leaving a group may take.
const LEAVING: Duration = Duration::from_secs(5);

/// How long to wait for librdkafka's next question on leaving.
const SLICE: Duration = Duration::from_millis(50);

impl Poller {
    /// Starts the thread. It ends, and leaves the group, when the line ends.
    pub(super) fn start(
        settings: &Arc<Settings>,
        line: &Arc<Line>,
        client: &Arc<Client>,
        topics: &[Topic],
    ) -> Result<(), Error> {
        let poller = Self {
            topics: topics
                .iter()
                .map(|topic| (topics::full(settings, topic), topic.clone()))
                .collect(),
            settings: Arc::clone(settings),
            line: Arc::clone(line),
            client: Arc::clone(client),
            records: Vec::new(),
            bytes: 0,
            names: Names::default(),
            unanswered: None,
        };
        std::thread::Builder::new()
            .name("kafka-consumer".to_owned())
            .spawn(move || poller.run())
            .map(drop)
            .map_err(|error| error::unavailable(format!("no thread for a consumer: {error}")))
    }

    fn run(mut self) {
        let limit = self.settings.read_ahead_bytes / 4;
        loop {
            match self.line.task(limit) {
                Task::End => break,
                Task::Command(command) => self.carry_out(command),
                Task::Poll => self.poll(limit),
            }
        }
        // Dropping the client leaves the group. The last holder drops it.
        self.client.context().set_leaving(true);
        self.settle();
    }

    /// Takes everything that has come.
    fn poll(&mut self, limit: usize) {
        loop {
            let polled = self.client.poll(Duration::ZERO);
            let nothing = polled.is_none();
            let mut failed = None;
            match polled {
                None => {}
                Some(Ok(message)) => {
                    if let Some(topic) = self.topics.get(message.topic()) {
                        let name = self.names.topics.name(topic.as_str());
                        let topic = name.unwrap_or_else(|_invalid| topic.clone());
                        let read = record::read(topic.clone(), &message, &mut self.names);
                        let (content, size) = read;
                        // The record, and what holds it.
                        let size = size + 256;
                        self.bytes += size;
                        let partition = Partition {
                            topic,
                            number: message.partition(),
                        };
                        let position = Position {
                            partition,
                            offset: message.offset(),
                        };
                        let delivery = Delivery { position, content };
                        self.records.push(Record { delivery, size });
                    }
                }
                Some(Err(error)) => failed = Some(error),
            }
            // A rebalance counts as nothing, but there may be more behind it.
            let rebalances = self.client.context().rebalances();
            let quiet = nothing && rebalances.is_empty() && !self.client.context().has_logged();
            if self.records.len() >= PORTION || quiet || failed.is_some() || !rebalances.is_empty()
            {
                self.forward_records();
            }
            for rebalance in rebalances {
                self.unanswered = Some(match rebalance {
                    Incoming::Assigned(_) => Unanswered::Assignment,
                    _ => Unanswered::Revocation,
                });
                self.line.forward(rebalance);
            }
            if let Some(error) = failed {
                self.line.forward(Incoming::Failed(error));
            }
            if quiet {
                return;
            }
            if !self.line.may_poll(self.bytes, limit) {
                self.forward_records();
                // There may be more.
                self.line.stir();
                return;
            }
        }
    }

    fn forward_records(&mut self) {
        self.bytes = 0;
        self.names = Names::default();
        if !self.records.is_empty() {
            let records = std::mem::take(&mut self.records);
            self.line.forward(Incoming::Records(records));
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Subscribe => {
                self.client.context().set_leaving(false);
                let topics: Vec<&str> = self.topics.keys().map(String::as_str).collect();
                if let Err(error) = self.client.subscribe(&topics) {
                    self.line.forward(Incoming::Failed(error));
                }
            }
            Command::Assign(positions) => {
                let assigned = offsets(&self.settings, &positions).and_then(|list| {
                    match self.settings.group_protocol {
                        GroupProtocol::Eager => self.client.assign(&list),
                        GroupProtocol::Cooperative | GroupProtocol::Consumer => {
                            self.client.incremental_assign(&list)
                        }
                    }
                });
                self.unanswered = None;
                self.positioned(positions, assigned);
            }
            Command::Seek(positions) => {
                let sought = offsets(&self.settings, &positions).and_then(|list| {
                    let timeout = self.settings.request_timeout;
                    let done = self.client.seek_partitions(list, timeout)?;
                    done.elements()
                        .iter()
                        .try_for_each(rdkafka::topic_partition_list::TopicPartitionListElem::error)
                });
                self.positioned(positions, sought);
            }
            Command::Unassign(partitions) => {
                self.unanswered = None;
                unassign(&self.client, &self.settings, Some(&partitions));
            }
            Command::Pause(partitions) => {
                note(self.client.pause(&list(&self.settings, &partitions)));
            }
            Command::Resume(partitions) => {
                note(self.client.resume(&list(&self.settings, &partitions)));
            }
            Command::Leave => self.leave(),
        }
        // What is in the queue may have changed.
        self.line.stir();
    }

    fn positioned(&self, positions: Vec<Position>, result: KafkaResult<()>) {
        self.line.forward(match result {
            Ok(()) => Incoming::Positioned(positions),
            Err(error) => Incoming::NotPositioned(positions, error),
        });
    }

    /// Answers what librdkafka waits for. It would not leave the group before.
    fn settle(&mut self) {
        match self.unanswered.take() {
            Some(Unanswered::Assignment) => assign_nothing(&self.client, &self.settings),
            Some(Unanswered::Revocation) => unassign(&self.client, &self.settings, None),
            None => {}
        }
    }

    /// Gives everything back and leaves the group. librdkafka leaves when it has been answered all that
    /// it asked; what it offered and nobody has looked at would else be taken for the next membership's.
    fn leave(&mut self) {
        let context = Arc::clone(self.client.context());
        context.set_leaving(true);
        self.settle();
        self.client.unsubscribe();
        let clock = &self.settings.clock;
        let deadline = clock.monotonic() + LEAVING;
        loop {
            let holds_nothing = self.client.assignment().is_ok_and(|list| list.count() == 0);
            let slice = if holds_nothing { Duration::ZERO } else { SLICE };
            let polled = self.client.poll(slice);
            let is_asked = !context.rebalances().is_empty();
            let quiet = polled.is_none() && !is_asked && !context.has_logged();
            // Records are not this member's any more.
            if let Some(Err(error)) = polled {
                self.line.forward(Incoming::Failed(error));
            }
            if (holds_nothing && quiet) || deadline.has_passed_at(clock.monotonic()) {
                break;
            }
        }
        self.line.forward(Incoming::Left);
    }
}

/// A partition that was lost meanwhile cannot be paused or resumed, and need not be.
fn note(result: KafkaResult<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "partitions were not paused or resumed: the group has moved on");
    }
}
