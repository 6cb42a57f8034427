//! Messages, running workers, and waiting.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use mainstay_clock::Backoff;
use mainstay_messaging::{
    Content, Delivery, Group, Key, Kind, Message, MessageId, Partition, Position, Publisher as _,
    Source, Topic, event::encode,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    Connection, Fixture,
    script::{Counted, Heaped, Script, Upcast, count, heap, ignore},
};
use crate::{Error, Handlers, Status, Worker};

const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn topic() -> Topic {
    Topic::from_static("orders")
}

pub(super) fn group() -> Group {
    Group::from_static("billing")
}

pub(super) fn partition(number: i32) -> Partition {
    Partition {
        topic: topic(),
        number,
    }
}

pub(super) fn many(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// The message `key-number`, counted one by one.
pub(super) fn message(key: &str, number: usize) -> Message {
    let name = format!("{key}-{number}");
    let mut message = bare(&name);
    encode(&Counted { name }, &mut message).unwrap();
    message.with_key(Key::new(key).unwrap())
}

/// The message `key-number`, handled many at once.
pub(super) fn heaped(key: &str, number: usize) -> Message {
    let name = format!("{key}-{number}");
    let mut message = bare(&name);
    encode(&Heaped { name }, &mut message).unwrap();
    message.with_key(Key::new(key).unwrap())
}

fn bare(id: &str) -> Message {
    let id = MessageId::new(id).unwrap();
    Message::with_id(
        id,
        Source::from_static("/suite"),
        topic(),
        Kind::from_static("Counted"),
    )
}

pub(super) fn delivery(message: Message, offset: i64) -> Delivery {
    Delivery {
        position: Position {
            partition: partition(0),
            offset,
        },
        content: Content::Message(message),
    }
}

/// `count` messages of each key, in turns.
pub(super) fn in_turns(keys: &[&str], count: usize) -> Vec<Message> {
    (0..count)
        .flat_map(|number| keys.iter().map(move |key| message(key, number)))
        .collect()
}

pub(super) fn names(key: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{key}-{number}")).collect()
}

/// Of `effects`, those of `key`, in order.
pub(super) fn of_key(effects: &[String], key: &str) -> Vec<String> {
    let prefix = format!("{key}-");
    effects
        .iter()
        .filter(|e| e.starts_with(&prefix))
        .cloned()
        .collect()
}

pub(super) async fn publish<F: Fixture>(f: &F, messages: &[Message]) {
    for answer in f.publisher().publish(messages).await {
        assert!(answer.is_acknowledged(), "{answer:?}");
    }
}

/// Waits until `holds` does.
pub(super) async fn until<R>(what: &str, mut holds: impl AsyncFnMut() -> Option<R>) -> R {
    let waiting = async {
        loop {
            if let Some(result) = holds().await {
                return result;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// Waits for so many effects, and answers with them.
pub(super) async fn effects<F: Fixture>(f: &F, count: usize) -> Vec<String> {
    until(&format!("{count} effects"), async || {
        let effects = f.effects().await;
        assert!(
            effects.len() <= count,
            "more than {count} effects: {effects:?}"
        );
        (effects.len() == count).then_some(effects)
    })
    .await
}

/// Waits until the group has committed everything.
pub(super) async fn all_committed<F: Fixture>(f: &F) {
    until("all offsets committed", async || {
        let progress = f.progress(&group()).await;
        let done = progress.iter().all(|(_, committed, end)| committed == end);
        (done && !progress.is_empty()).then_some(())
    })
    .await;
}

pub(super) async fn committed<F: Fixture>(f: &F) -> i64 {
    let progress = f.progress(&group()).await;
    progress.iter().map(|(_, committed, _)| committed).sum()
}

type WorkerOf<F> = Worker<<F as Fixture>::Database, <F as Fixture>::Inbox>;

/// The handlers of the suite.
pub(super) fn handlers<F: Fixture>(script: &Arc<Script>) -> Handlers<Connection<F>> {
    Handlers::new()
        .on::<Counted, _, _>(Arc::clone(script), count::<F>)
        .on_batch::<Heaped, _, _>(Arc::clone(script), heap::<F>)
        .on::<Upcast, _, _>((), ignore::<F>)
}

/// A worker with short waits.
pub(super) fn worker<F: Fixture>(f: &F, script: &Arc<Script>) -> WorkerOf<F> {
    Worker::new(group(), f.database(), f.inbox(), handlers::<F>(script))
        .backoff(Backoff::new(
            Duration::from_millis(2),
            Duration::from_millis(20),
        ))
        .commit_interval(Duration::from_millis(5))
}

/// A worker that runs until it is stopped or crashed.
pub(super) struct Running<F: Fixture> {
    worker: Arc<WorkerOf<F>>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl<F: Fixture> Running<F> {
    pub(super) fn start(f: &F, worker: WorkerOf<F>) -> Self {
        let (worker, shutdown) = (Arc::new(worker), CancellationToken::new());
        let (this, token) = (Arc::clone(&worker), shutdown.clone());
        let consumer = f.consumer(&group(), &topic());
        Self {
            worker,
            shutdown,
            task: tokio::spawn(async move { this.run(consumer, token).await }),
        }
    }

    pub(super) fn status(&self) -> Status {
        self.worker.status()
    }

    /// Asks it to stop.
    pub(super) fn ask_to_stop(&self) {
        self.shutdown.cancel();
    }

    /// Stops it and waits for its end.
    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended.unwrap().unwrap().unwrap();
    }

    /// Ends it as a kill does: nothing is finished, committed or given back.
    pub(super) async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}
