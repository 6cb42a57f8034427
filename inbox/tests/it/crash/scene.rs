//! A topic of messages, workers that make their effects, and what was seen of it.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use mainstay_clock::Backoff;
use mainstay_inbox::{
    BlockKey, Error, HandlerError, Inbox, Received, Worker, conformance::Fixture,
};
use mainstay_messaging::{Group, Message, Position, Publisher as _, Topic};
use mainstay_ports::{InboxPorts, Ports};
use mainstay_testkit::{
    History, check,
    crash::Points,
    history::{Blocked, Effect, Entry, Offset, Place, Published, Reader},
};
use tokio_util::sync::CancellationToken;

use super::{Service, member::Member};
use crate::named::Named;

const KEYS: [&str; 3] = ["a", "b", "c"];
const PER_KEY: usize = 3;
pub(super) const MESSAGES: usize = KEYS.len() * PER_KEY;
/// How often the first message of the second key cannot be handled.
const FAILURES: usize = 2;

type Connection<F> = <<F as Fixture>::Inbox as Inbox>::Connection;

pub(super) struct Scene<F> {
    service: Arc<F>,
    name: String,
    group: Group,
    topic: Topic,
    history: Mutex<History>,
}

/// What a handler knows.
pub(super) struct Handling<F> {
    points: Arc<Points>,
    scene: Arc<Scene<F>>,
}

impl<F> Clone for Handling<F> {
    fn clone(&self) -> Self {
        Self {
            points: Arc::clone(&self.points),
            scene: Arc::clone(&self.scene),
        }
    }
}

/// Writes its effect, and then finds out that it cannot go on, if it is to be so.
async fn handle<F: Service>(
    connection: &mut Connection<F>,
    received: Received<Named>,
    state: Handling<F>,
) -> Result<(), HandlerError> {
    let Handling { points, scene } = state;
    let handling = async {
        F::write(connection, &received.event.name).await?;
        scene.fails(&received.message).map_or(Ok(()), Err)
    };
    points.call("handle", handling).await
}

impl<F: Service> Scene<F> {
    /// A topic of its own with messages of three keys in turns, one of them twice.
    pub(super) async fn published(service: Arc<F>, name: &str) -> Arc<Self> {
        let topic = Topic::new(format!("{name}orders")).unwrap();
        let group = Group::new(format!("{name}billing")).unwrap();
        service.create_topic(&topic, 1).await;
        let mut messages: Vec<Message> = (0..PER_KEY)
            .flat_map(|number| KEYS.map(|key| (key, number)))
            .map(|(key, number)| message(&topic, &format!("{name}{key}"), number))
            .collect();
        let committed = messages.iter().map(entry).collect();
        messages.insert(7, messages[1].clone());
        for answer in service.publisher().publish(&messages).await {
            assert!(answer.is_acknowledged(), "{answer:?}");
        }
        let published = messages.iter().zip(0..).map(|(message, offset)| Published {
            topic: topic.to_string(),
            partition: 0,
            offset,
            entry: entry(message),
        });
        let history = History {
            committed,
            published: published.collect(),
            readers: vec![Reader {
                consumer: group.to_string(),
                topic: topic.to_string(),
            }],
            ..History::default()
        };
        Arc::new(Self {
            service,
            name: name.to_owned(),
            group,
            topic,
            history: Mutex::new(history),
        })
    }

    pub(super) const fn group(&self) -> &Group {
        &self.group
    }

    pub(super) const fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Works until there is nothing left to do, or until it is struck.
    pub(super) async fn work(
        self: &Arc<Self>,
        points: &Arc<Points>,
        batch: usize,
    ) -> Result<(), Error> {
        let state = Handling {
            points: Arc::clone(points),
            scene: Arc::clone(self),
        };
        let quick = Backoff::new(Duration::from_millis(2), Duration::from_millis(20));
        let quiet = CancellationToken::new();
        let member = Member {
            consumer: self.service.consumer(&self.group, &self.topic).await,
            scene: Arc::clone(self),
            quiet: quiet.clone(),
        };
        let member = Ports::new(member, points);
        let worker = Worker::new(InboxPorts::new(self.service.inbox(), points), member)
            .with_state(state)
            .on(handle::<F>)
            .batch_size(batch)
            .concurrency(2)
            .max_attempts(1)
            .failure_policy(BlockKey::new().retry_after(Duration::from_millis(5)))
            .backoff(quick)
            .commit_interval(Duration::from_millis(5));
        let worker = self.service.timed(worker);
        worker.run_until(quiet.cancelled_owned()).await
    }

    /// Another worker does what is left; then everything is as it must be.
    pub(super) async fn finish(self: &Arc<Self>, batch: usize) {
        self.look().await;
        if !self.is_done().await {
            let points = Points::none();
            let working = self.work(&points, batch);
            let ended = tokio::time::timeout(Duration::from_secs(600), working).await;
            assert!(ended.is_ok(), "the group never finished its topic");
            ended.unwrap().unwrap();
        }
        self.look().await;
        let violations = check::violations(&self.history());
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "{}", lines.join("\n"));
    }

    /// Whether the group has stored the end of the topic.
    pub(super) async fn is_done(&self) -> bool {
        let progress = self.service.progress(&self.group).await;
        let mut parts = progress
            .iter()
            .filter(|(partition, ..)| partition.topic == self.topic);
        parts
            .next()
            .is_some_and(|(_, committed, end)| committed == end)
    }

    /// Writes down effects that were not durable before.
    pub(super) async fn look(&self) {
        let effects = self.service.effects().await;
        let mut history = self.history();
        let known = history.effects.len();
        let mut seen: Vec<String> = history.effects.iter().map(|e| e.entry.id.clone()).collect();
        for id in effects
            .into_iter()
            .filter(|effect| effect.starts_with(&self.name))
        {
            // An effect that is there twice is two effects.
            if let Some(at) = seen.iter().position(|other| *other == id) {
                seen.swap_remove(at);
                continue;
            }
            let entry = history.committed.iter().find(|entry| entry.id == id);
            let entry = entry.cloned().unwrap();
            history.effects.push(Effect {
                consumer: self.group.to_string(),
                entry,
            });
        }
        assert!(seen.is_empty(), "effects are gone: {seen:?} of {known}");
    }

    /// Writes down offsets that were stored.
    pub(super) fn stored(&self, positions: &[Position]) {
        let mut history = self.history();
        let seen = history.moment();
        for position in positions {
            history.offsets.push(Offset {
                consumer: self.group.to_string(),
                topic: position.partition.topic.to_string(),
                partition: position.partition.number,
                offset: position.offset,
                seen,
            });
        }
    }

    /// Whether a message cannot be handled this time, which blocks its key.
    fn fails(&self, message: &Message) -> Option<HandlerError> {
        let mut history = self.history();
        let id = message.id.to_string();
        if id != format!("{}b-0", self.name) || history.blocked.len() >= FAILURES {
            return None;
        }
        let seen = history.moment();
        history.blocked.push(Blocked {
            at: Place::Consumer(self.group.to_string()),
            key: message.key.as_ref().map(ToString::to_string),
            id,
            seen,
            lasting: false,
        });
        Some(HandlerError::retryable("not now"))
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }
}

fn message(topic: &Topic, key: &str, number: usize) -> Message {
    let name = format!("{key}-{number}");
    let message = Message::builder().id(&*name).source("/crash");
    let message = message.event(&Named { name: name.clone() });
    message.topic(topic.clone()).key(key).build().unwrap()
}

fn entry(message: &Message) -> Entry {
    let number = message.id.as_str().rsplit_once('-').unwrap().1;
    Entry {
        key: message.key.as_ref().map(ToString::to_string),
        number: number.parse().unwrap(),
        id: message.id.to_string(),
        attempt: String::new(),
    }
}
