//! Reading: a member of a group.

mod events;
mod failures;
mod release;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use mainstay_clock::Monotonic;
use tokio::task::JoinHandle;

use super::{
    buffers::Buffers,
    builder::Settings,
    commits::{Commits, Stored},
    error,
    line::{Incoming, Line},
    member::{self, Client},
    poller::Poller,
    starts::Answer,
};
use crate::{
    Error, Group, StartAt, Topic,
    broker::{Consumer, ConsumerEvent, Delivery, Partition, Position, builder::Subscription},
    holdings::{Claim, Holdings},
};

/// One member of a consumer group of a Kafka cluster.
///
/// A thread reads ahead for it. When it is dropped, it leaves the group in the background, unless it
/// is [static](super::Builder::instance_id).
#[derive(Debug)]
pub struct LogConsumer {
    // Dropped before `ending`: the thread drops the last one, since leaving a group takes time.
    client: Handle,
    settings: Arc<Settings>,
    line: Arc<Line>,
    topics: Arc<[Topic]>,
    start_at: StartAt,
    standing: Standing,
    holdings: Holdings<Partition>,
    buffers: Buffers,
    commits: Commits,
    /// What came and was not looked at yet.
    incoming: VecDeque<Incoming>,
    /// Partitions that are this member's, but where they begin is not known yet.
    entering: BTreeMap<Partition, Entry>,
    /// Those whose new position is being taken.
    positioning: BTreeMap<Partition, Claim<Partition>>,
    asking: Option<JoinHandle<Result<Answer, Error>>>,
    /// When to ask again; none = at once.
    ask_again: Option<Monotonic>,
    /// What librdkafka waits to be given back, and which of it this member still holds.
    revoking: Option<(Vec<Partition>, BTreeSet<Partition>)>,
    /// A look at the cluster after an error.
    looking: Option<JoinHandle<Result<Look, Error>>>,
    /// Whether librdkafka has stopped reading a partition, because the cluster said that its next
    /// record is not in the log.
    halted: bool,
    /// The next error to return.
    error: Option<Error>,
    /// Whether the last call of `next` failed.
    failed: bool,
    health: Health,
    warned: bool,
    /// The partition that the last delivery ended with.
    turn: Option<Partition>,
    _ending: Ending,
}

/// Whether this is a member of the group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    Outside,
    Inside,
    Leaving,
}

/// How a partition came to this member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Entry {
    /// Kafka assigned it.
    Assigned,
    /// librdkafka has it, at no known position: nobody has asked for what was released, or the group
    /// did not store where it begins. What is read of it is dropped.
    Again,
}

/// What a look at the cluster has shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Look {
    /// It answers.
    Answers,
    /// It has the next record of each partition.
    HasRecords,
}

/// What librdkafka's client is still good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Health {
    Sound,
    /// It has once left the group because it was silent. It joins again by itself.
    Left,
    /// It can join no group any more, or has stopped reading.
    Spent,
}

struct Handle(Arc<Client>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// Ends the polling thread.
#[derive(Debug)]
struct Ending(Arc<Line>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl LogConsumer {
    pub(super) fn new(settings: Arc<Settings>, subscription: Subscription) -> Result<Self, Error> {
        let line = Arc::new(Line::default());
        let client = Arc::new(member::client(&settings, &subscription.group, &line)?);
        Poller::start(&settings, &line, &client, &subscription.topics)?;
        Ok(Self {
            _ending: Ending(Arc::clone(&line)),
            client: Handle(client),
            settings,
            line,
            topics: subscription.topics.into(),
            start_at: subscription.start_at,
            standing: Standing::Outside,
            holdings: Holdings::new(subscription.group),
            buffers: Buffers::default(),
            commits: Commits::default(),
            incoming: VecDeque::new(),
            entering: BTreeMap::new(),
            positioning: BTreeMap::new(),
            asking: None,
            ask_again: None,
            revoking: None,
            looking: None,
            halted: false,
            error: None,
            failed: false,
            health: Health::Sound,
            warned: false,
            turn: None,
        })
    }

    /// None: the client is spent.
    async fn wait(&mut self) -> Result<Option<ConsumerEvent>, Error> {
        loop {
            self.join();
            self.withdraw_overdue();
            self.incoming.extend(self.line.take());
            self.note_incoming();
            if self.health == Health::Spent {
                return Ok(self.holdings.event());
            }
            self.ask_where_to_start();
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            if let Some(event) = self.holdings.event() {
                return Ok(Some(event));
            }
            let deliveries = self.deliver();
            if !deliveries.is_empty() {
                return Ok(Some(ConsumerEvent::Deliveries(deliveries)));
            }
            if self.halted {
                self.look_for_records();
            } else if self.failed {
                self.look();
            }
            let until_deadline = self.until_deadline();
            tokio::select! {
                () = self.line.news() => {}
                answer = joined(&mut self.asking) => self.start(answer?),
                looked = joined(&mut self.looking) => match looked? {
                    Look::HasRecords => self.give_up_client(),
                    Look::Answers if self.failed => return Ok(Some(ConsumerEvent::Recovered)),
                    Look::Answers => {}
                },
                () = tokio::time::sleep(until_deadline) => {}
            }
        }
    }

    /// Goes on with a new client. This member holds nothing.
    fn replace_client(&mut self) -> Result<(), Error> {
        let group = self.holdings.group().clone();
        let subscription = Subscription {
            group: group.clone(),
            topics: self.topics.to_vec(),
            start_at: self.start_at,
        };
        let fresh = Self::new(Arc::clone(&self.settings), subscription)?;
        *self = Self {
            holdings: std::mem::replace(&mut self.holdings, Holdings::new(group)),
            ..fresh
        };
        Ok(())
    }

    fn deliver(&mut self) -> Vec<Delivery> {
        let mut order: Vec<Partition> = (self.holdings.delivering())
            .map(|(partition, _)| partition.clone())
            .collect();
        // The partitions behind the one where the bytes ran out come first this time.
        if let Some(turn) = self.turn.take() {
            order.sort_by_key(|partition| (*partition <= turn, partition.clone()));
        }
        let count = usize::from(self.settings.fetch_records);
        let (mut deliveries, mut room) = (Vec::new(), self.settings.fetch_bytes);
        for partition in order {
            let Some(held) = self.holdings.held_mut(&partition) else {
                continue;
            };
            let each = |delivery: Delivery| {
                if held.hand_out_behind_gap(delivery.position.offset) {
                    deliveries.push(delivery);
                }
            };
            let bytes = self.buffers.take(&self.line, &partition, count, room, each);
            room = room.saturating_sub(bytes);
            if room == 0 {
                self.turn = Some(partition);
                break;
            }
        }
        deliveries
    }
}

/// The result of a job, and no job any more. Never, if there is none.
///
/// Cancel safe.
async fn joined<T>(job: &mut Option<JoinHandle<Result<T, Error>>>) -> Result<T, Error> {
    let Some(running) = job else {
        return std::future::pending().await;
    };
    let result = running.await;
    *job = None;
    result.map_err(error::ended)?
}

#[async_trait]
impl Consumer for LogConsumer {
    fn group(&self) -> &Group {
        self.holdings.group()
    }

    async fn next(&mut self) -> Result<ConsumerEvent, Error> {
        loop {
            let line = Arc::clone(&self.line);
            let polling = line.want();
            let waited = self.wait().await;
            drop(polling);
            let event = match waited {
                Ok(Some(event)) => Ok(event),
                Ok(None) => match self.replace_client() {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            self.failed = event.is_err();
            return event;
        }
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Error> {
        let commit = self.holdings.prepare(positions);
        let offsets: Vec<Position> = (commit.offsets.iter())
            .map(|(partition, _, offset)| Position {
                partition: partition.clone(),
                offset: *offset,
            })
            .collect();
        let stored = self
            .commits
            .store(&self.settings, &self.client.0, offsets.into_iter())
            .await?;
        let ids: Vec<Partition> = match stored {
            Stored::NotAssigned => Vec::new(),
            Stored::Yes => (commit.offsets.iter())
                .map(|(partition, ..)| partition.clone())
                .collect(),
        };
        self.holdings.finish(commit, &ids)
    }

    fn pause(&mut self, partitions: &[Partition]) {
        self.holdings.pause(partitions);
        self.buffers.pause(&self.line, partitions);
    }

    fn resume(&mut self, partitions: &[Partition]) {
        self.holdings.resume(partitions);
        self.buffers.resume(&self.line, partitions);
    }

    async fn release(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        self.give_back(partitions).await
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::kafka::Builder;

    #[tokio::test]
    async fn a_member_whose_client_is_spent_goes_on_with_a_new_one() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("orders", 1, 1).unwrap();
        let builder = Builder::new(cluster.bootstrap_servers());
        let subscription = Subscription {
            group: Group::from_static("g"),
            topics: vec![Topic::from_static("orders")],
            start_at: StartAt::Earliest,
        };
        let mut member = LogConsumer::new(Arc::new(builder.settings), subscription).unwrap();
        let assigned = member.next().await.unwrap();
        assert!(
            matches!(assigned, ConsumerEvent::Assigned(_)),
            "{assigned:?}"
        );
        member.holdings.take_away(&member.holdings.all());
        member.health = Health::Spent;
        let lost = member.next().await.unwrap();
        assert!(matches!(lost, ConsumerEvent::Lost(_)), "{lost:?}");
        let again = member.next().await.unwrap();
        assert!(matches!(again, ConsumerEvent::Assigned(_)), "{again:?}");
    }
}
