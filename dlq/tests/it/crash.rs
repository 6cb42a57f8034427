//! A process that dies at every await of a dead letter and of a replay, and what is there when
//! another one goes on.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests, and how much was tried belongs to the result"
)]

use std::time::Duration;

use mainstay_database::Transactions as _;
use mainstay_dlq::{BlockedKey, Query, Signature, State, conformance::Fixture};
use mainstay_inbox::{
    Admission, HandlerError, Handlers, Inbox, Received,
    failure::{Failure, FailureKind, FailureOutcome, FailurePolicy as _},
    store::WorkerStore,
};
use mainstay_messaging::{
    Delivery, Event, Group, Message, Partition, Position, Topic, broker::Content,
};
use mainstay_testkit::crash::{Reached, after_polls, at_every_point};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Named {
    name: String,
}

impl Event for Named {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Named";
}

type Connection<F> = <<F as Fixture>::Inbox as Inbox>::Connection;

async fn write<F: Fixture>(
    connection: &mut Connection<F>,
    received: Received<Named>,
) -> Result<(), HandlerError> {
    Ok(F::write(connection, &received.event.name).await?)
}

fn group() -> Group {
    Group::from_static("billing")
}

fn delivery(key: &str, number: i64) -> Delivery {
    let name = format!("{key}-{number}");
    let message = Message::builder().source("/crash").id(&*name);
    let message = message.event(&Named { name: name.clone() }).key(key);
    Delivery {
        position: Position {
            partition: Partition {
                topic: Topic::from_static("orders"),
                number: 0,
            },
            offset: number,
        },
        content: Content::Message(message.build().unwrap()),
    }
}

async fn admit<F: Fixture>(f: &F, delivery: &Delivery) -> Admission {
    let queue = f.queue(&[]);
    let mut tx = WorkerStore::database(&queue).begin().await.unwrap();
    let admission = queue.admit(&mut tx, &group(), delivery).await.unwrap();
    WorkerStore::database(&queue).commit(tx).await.unwrap();
    admission
}

/// The states of a key's messages, oldest first.
async fn states<F: Fixture>(f: &F, key: &str) -> Vec<State> {
    let queue = f.queue(&[]);
    let page = queue.desk().list(&Query::all().key(key), None, 10).await;
    let states = page.unwrap().items.into_iter().rev();
    states.map(|letter| letter.state).collect()
}

pub(crate) async fn a_dead_letter_is_kept_once_wherever_its_process_ends<F: Fixture>(f: F) {
    let failure = Failure::new(FailureKind::Permanent, 1, "poison");
    let points = at_every_point("dead letter", async |nth| {
        let key = format!("d{nth}");
        let (first, second) = (delivery(&key, 0), delivery(&key, 1));
        let (queue, group) = (f.queue(&[]), group());
        let asked = after_polls(nth, queue.on_failure(&group, &first, &failure)).await;
        if asked.is_some() {
            assert_eq!(states(&f, &key).await, [State::Dead], "it was acknowledged");
        }
        // Its offset is not committed, so another worker gets it, and fails as well.
        if admit_alone(&f, &first).await.is_fresh() {
            let asked = queue.on_failure(&group, &first, &failure).await.unwrap();
            assert_eq!(asked, FailureOutcome::DeadLettered);
        }
        assert_eq!(states(&f, &key).await, [State::Dead]);
        assert_eq!(admit(&f, &second).await, Admission::Held);
        assert_eq!(states(&f, &key).await, [State::Dead, State::Held]);
        Reached::of(asked.as_ref())
    })
    .await;
    println!("dead letter: struck at {points} points");
    // How often a task suspends is up to the driver: a statement may be answered before it is awaited.
    assert!(points >= 1, "only {points} points");
}

/// Admits and rolls back: whether another worker would run the handler.
async fn admit_alone<F: Fixture>(f: &F, delivery: &Delivery) -> Admission {
    let queue = f.queue(&[]);
    let mut tx = WorkerStore::database(&queue).begin().await.unwrap();
    queue.admit(&mut tx, &group(), delivery).await.unwrap()
}

pub(crate) async fn a_replay_makes_every_effect_once_and_in_order_wherever_its_process_ends<
    F: Fixture,
>(
    f: F,
) {
    let by = Signature::new("ada", "fixed");
    let failure = Failure::new(FailureKind::Permanent, 1, "poison");
    let points = at_every_point("replay", async |nth| {
        let key = format!("r{nth}");
        let (queue, group) = (f.queue(&[]), group());
        let first = delivery(&key, 0);
        let outcome = queue.on_failure(&group, &first, &failure).await.unwrap();
        assert_eq!(outcome, FailureOutcome::DeadLettered);
        for number in 1..3 {
            assert_eq!(admit(&f, &delivery(&key, number)).await, Admission::Held);
        }
        let blocked = BlockedKey {
            consumer: group.clone(),
            topic: Topic::from_static("orders"),
            key: key.clone(),
        };
        queue.desk().replay_key(&blocked, &by).await.unwrap();
        let replayed = after_polls(nth, replay_until_free(&f)).await;
        let live = delivery(&key, 3);
        let admission = admit(&f, &live).await;
        replay_until_free(&f).await;
        let prefix = format!("{key}-");
        let effects = f.effects().await.into_iter();
        let effects: Vec<_> = effects.filter(|name| name.starts_with(&prefix)).collect();
        // Held behind the others, or free to go on because all of them are done.
        let count = if admission == Admission::Held { 4 } else { 3 };
        let expected: Vec<_> = (0..count).map(|number| format!("{key}-{number}")).collect();
        assert_eq!(effects, expected);
        let states = states(&f, &key).await;
        assert!(
            states.iter().all(|state| *state == State::Replayed),
            "{states:?}"
        );
        Reached::of(replayed.as_ref())
    })
    .await;
    println!("replay: struck at {points} points");
    assert!(points >= 10, "only {points} points");
}

/// Runs a replayer until no key is blocked.
async fn replay_until_free<F: Fixture>(f: &F) {
    let queue = f.queue(&[]);
    let desk = queue.desk();
    let handlers = Handlers::new().on(write::<F>);
    let replayer = queue.replayer(group(), handlers).unwrap();
    let replayer = replayer.poll_interval(Duration::from_millis(1));
    let free = async {
        while desk.totals(&group()).await.unwrap().blocked_keys > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let running = replayer.run_until(free);
    let ended = tokio::time::timeout(Duration::from_secs(120), running).await;
    ended.unwrap().unwrap();
}
