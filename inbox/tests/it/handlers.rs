//! Handlers: how they are registered, what they get, and how their errors are classified. On paused
//! time.
#![expect(clippy::unwrap_used, reason = "tests")]

mod held;

use std::{
    io,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mainstay_database::{
    commits::CommitListener,
    memory::{Connection, Database},
};
use mainstay_inbox::{Error, HandlerError, Handlers, Received, Worker, conformance::Fixture as _};
use mainstay_messaging::{
    Event, Headers, Message, Partition, Position, Publisher as _, Topic,
    broker::{Content, Delivery, Raw},
};
use serde::{Deserialize, Serialize};

use crate::{
    memory::MemoryFixture,
    named::{Named, group, message, topic},
};

#[derive(Serialize, Deserialize)]
struct Other;

impl Event for Other {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Other";
}

type Names = Arc<Mutex<Vec<String>>>;

async fn write(connection: &mut Connection, received: Received<Named>) -> Result<(), HandlerError> {
    MemoryFixture::write(connection, &received.event.name).await?;
    Ok(())
}

async fn note(
    _: &mut Connection,
    received: Received<Named>,
    names: Names,
) -> Result<(), HandlerError> {
    names.lock().unwrap().push(received.event.name);
    Ok(())
}

fn delivery(message: Message) -> Delivery {
    let partition = Partition {
        topic: topic(),
        number: 0,
    };
    let offset = 0;
    Delivery {
        position: Position { partition, offset },
        content: Content::Message(message),
    }
}

async fn fixture(messages: &[Message]) -> MemoryFixture {
    let fixture = MemoryFixture::new();
    fixture.create_topic(&topic(), 1).await;
    for answer in fixture.publisher().publish(messages).await {
        assert!(answer.is_acknowledged(), "{answer:?}");
    }
    fixture
}

async fn effects(f: &MemoryFixture, count: usize) -> Vec<String> {
    until(async || {
        let effects = f.effects().await;
        (effects.len() == count).then_some(effects)
    })
    .await
}

/// Waits until the group has committed everything.
async fn all_committed(f: &MemoryFixture) {
    until(async || {
        let progress = f.progress(&group()).await;
        let done = progress.iter().all(|(_, committed, end)| committed == end);
        (done && !progress.is_empty()).then_some(())
    })
    .await;
}

async fn until<R>(mut holds: impl AsyncFnMut() -> Option<R>) -> R {
    let waiting = async {
        loop {
            if let Some(result) = holds().await {
                return result;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(600), waiting);
    waited.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_handler_gets_the_state_that_was_given_before_it() {
    let f = fixture(&[message("a", 0)]).await;
    let (before, after) = (Names::default(), Names::default());
    let consumer = f.consumer(&group(), &topic()).await;
    let worker = Worker::new(f.inbox(), consumer)
        .with_state(Arc::clone(&before))
        .on(note)
        .with_state(Arc::clone(&after))
        .spawn();
    all_committed(&f).await;
    worker.shutdown().await.unwrap();
    assert_eq!(*before.lock().unwrap(), ["a-0"]);
    assert!(after.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_async_closure_is_a_handler() {
    let f = fixture(&[message("a", 0)]).await;
    let consumer = f.consumer(&group(), &topic()).await;
    let worker = Worker::new(f.inbox(), consumer)
        .with_state("!")
        .on(
            async |connection: &mut Connection, received: Received<Named>, mark: &'static str| {
                let effect = format!("{}{mark}", received.event.name);
                MemoryFixture::write(connection, &effect).await?;
                Ok(())
            },
        )
        .spawn();
    assert_eq!(effects(&f, 1).await, ["a-0!"]);
    worker.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn messages_of_several_kinds_come_undecoded_in_one_call() {
    let mut unreadable = message("b", 0);
    unreadable.kind = Other::KIND.try_into().unwrap();
    unreadable.payload = Some("{".into());
    let f = fixture(&[message("a", 0), unreadable, message("c", 0)]).await;
    let names = Names::default();
    let consumer = f.consumer(&group(), &topic()).await;
    let worker = Worker::new(f.inbox(), consumer)
        .with_state(Arc::clone(&names))
        .on_messages(
            &[Named::KIND, Other::KIND],
            async |_: &mut Connection, received: Vec<Received<()>>, names: Names| {
                let ids = received.iter().map(|received| received.message.id.as_str());
                names
                    .lock()
                    .unwrap()
                    .push(ids.collect::<Vec<_>>().join(" "));
                Ok(())
            },
        )
        .spawn();
    all_committed(&f).await;
    worker.shutdown().await.unwrap();
    assert_eq!(*names.lock().unwrap(), ["a-0 b-0 c-0"]);
}

#[tokio::test]
async fn handlers_run_one_delivery() {
    let database = Database::new();
    let names = Names::default();
    let handlers = Handlers::new().with_state(Arc::clone(&names)).on(note);
    let mut tx = database.begin().await.unwrap();
    // Clones share the handlers.
    let clone = handlers.clone();
    let first = delivery(message("a", 0));
    clone.run(&mut tx, &first).await.unwrap();
    assert_eq!(*names.lock().unwrap(), ["a-0"]);

    let mut unreadable = message("a", 1);
    unreadable.payload = Some("{".into());
    let mut unknown = message("a", 2);
    unknown.kind = Other::KIND.try_into().unwrap();
    let mut raw = delivery(message("a", 3));
    raw.content = Content::Raw(Raw {
        key: None,
        headers: Headers::new(),
        payload: None,
        reason: "no envelope".to_owned(),
    });
    for (refused, why) in [
        (delivery(unreadable), "does not decode"),
        (
            delivery(unknown),
            "no handler is registered for messages of kind Other",
        ),
        (raw, "the record is not a message: no envelope"),
    ] {
        let error = handlers.run(&mut tx, &refused).await.unwrap_err();
        assert!(error.is_permanent(), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    assert_eq!(names.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn handlers_run_turns_a_panic_into_an_error_that_counts() {
    let mut tx = Database::new().begin().await.unwrap();
    let handlers =
        Handlers::new().on(async |_: &mut Connection, _: Received<Named>| panic!("as planned"));
    let error = handlers.run(&mut tx, &delivery(message("a", 0))).await;
    let error = error.unwrap_err();
    assert!(error.counts_attempt() && !error.is_permanent(), "{error}");
    assert!(error.to_string().contains("as planned"), "{error}");
}

/// An error of a user's own, with another one below it.
#[derive(thiserror::Error, Debug)]
#[error("the order was not billed")]
struct Wrapped<E: std::error::Error + 'static>(#[source] E);

#[test]
fn errors_are_classified_by_their_whole_chain() {
    use mainstay_database::Error::{Aborted, Conflict, Failed, OutcomeUnknown, Unavailable};
    let source = || io::Error::other("as planned").into();
    for heals in [
        Conflict(source()),
        Unavailable(source()),
        OutcomeUnknown(source()),
    ] {
        let error = HandlerError::from(Wrapped(Error::from(heals)));
        assert!(!error.counts_attempt() && !error.is_permanent(), "{error}");
    }
    for counted in [
        HandlerError::from(Wrapped(Failed(source()))),
        HandlerError::from(Wrapped(Aborted)),
        HandlerError::from(Wrapped(io::Error::other("as planned"))),
        HandlerError::retryable("as planned"),
        HandlerError::retryable(Failed(source())),
    ] {
        assert!(
            counted.counts_attempt() && !counted.is_permanent(),
            "{counted}"
        );
    }
    let chosen = HandlerError::retryable(Wrapped(Conflict(source())));
    assert!(!chosen.counts_attempt());
    assert!(HandlerError::permanent(Conflict(source())).is_permanent());
    let away = HandlerError::unavailable("as planned");
    assert!(!away.counts_attempt() && !away.is_permanent());
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_error_counts_no_attempt_and_blocks_no_key() {
    let f = fixture(&[message("a", 0), message("b", 0)]).await;
    let consumer = f.consumer(&group(), &topic()).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let worker = Worker::new(f.inbox(), consumer)
        .max_attempts(1)
        .with_state(Arc::clone(&calls))
        .on(
            async |connection: &mut Connection,
                   received: Received<Named>,
                   calls: Arc<AtomicUsize>| {
                if calls.fetch_add(1, Ordering::SeqCst) < 9 {
                    return Err(HandlerError::unavailable("the bank does not answer"));
                }
                write(connection, received).await
            },
        )
        .spawn();
    let says = until(async || worker.status().last_error).await;
    assert_eq!(&*says, "the bank does not answer");
    effects(&f, 2).await;
    all_committed(&f).await;
    assert!(worker.status().is_healthy(), "{:?}", worker.status());
    worker.shutdown().await.unwrap();
}

/// Counts commits, as an outbox's relay listens to them.
#[derive(Default)]
struct Commits(AtomicUsize);

impl CommitListener for Commits {
    fn committed(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_a_worker_is_told_to_listeners_of_its_database() {
    let f = fixture(&[message("a", 0)]).await;
    let commits: Arc<Commits> = Arc::default();
    let listener: Weak<Commits> = Arc::downgrade(&commits);
    f.database.on_commit(listener);
    let consumer = f.consumer(&group(), &topic()).await;
    let worker = Worker::new(f.inbox(), consumer).on(write).spawn();
    until(async || (commits.0.load(Ordering::SeqCst) > 0).then_some(())).await;
    worker.shutdown().await.unwrap();
}

#[test]
fn a_received_event_for_a_test_is_one_line() {
    let received = Received::of(Named {
        name: "a-0".to_owned(),
    });
    assert_eq!(received.message.kind.as_str(), Named::KIND);
    assert_eq!(received.message.topic, Topic::from_static("orders"));
    assert_eq!(received.position.to_string(), "orders/0/0");
}
