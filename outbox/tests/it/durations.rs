//! Every duration that can be set, down to nothing and up to the longest, and then a run.

use std::{sync::Arc, time::Duration};

use mainstay_clock::{Backoff, Clock as _, SeededIds, TokioClock};
use mainstay_database::memory::Database;
use mainstay_messaging::{Message, MessageId};
use mainstay_outbox::{Entry, Error, MemoryOutbox, Outbox as _, Relay, conformance::Tape};

const DURATIONS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_millis(10),
    Duration::MAX,
];

type MemoryRelay = Relay<MemoryOutbox, Tape>;
type Setter = fn(MemoryRelay, Duration) -> MemoryRelay;

const SETTERS: [(&str, Setter); 8] = [
    ("lease", MemoryRelay::lease),
    ("publish_timeout", MemoryRelay::publish_timeout),
    ("poll_interval", MemoryRelay::poll_interval),
    ("round_interval", MemoryRelay::round_interval),
    ("backoff", |relay, d| relay.backoff(Backoff::new(d, d))),
    ("refusal_backoff", |relay, d| {
        relay.refusal_backoff(Backoff::new(d, d))
    }),
    ("refusal_backoff from nothing", |relay, d| {
        relay.refusal_backoff(Backoff::new(Duration::ZERO, d))
    }),
    // The durations of builder and entry alone.
    ("nothing", |relay, _| relay),
];

fn message(id: &str) -> Message {
    let message = Message::builder().id(id).source("/test").topic("orders");
    message.kind("Counted").key(id).build().unwrap()
}

async fn run(setting: &str, set: Setter, duration: Duration) {
    let database = Database::new();
    let builder = MemoryOutbox::builder(&database).deduplication_retention(duration);
    let outbox = builder.open().await.unwrap();
    let tape = Tape::default();
    tape.refuse("refused");
    let relay = set(Relay::new(outbox.clone(), tape.clone()), duration).spawn();
    let mut tx = database.begin().await.unwrap();
    let messages = ["refused", "delayed", "published"].map(message);
    let entries = [
        Entry::new(&messages[0]),
        Entry::new(&messages[1]).deliver_after(duration),
        Entry::new(&messages[2]),
    ];
    for enqueued in outbox.enqueue_batch(&mut tx, &entries).await.unwrap() {
        assert_eq!(enqueued, mainstay_outbox::Enqueued::Added);
    }
    database.commit(tx).await.unwrap();
    let expected = if duration == Duration::MAX { 1 } else { 2 };
    let published = async {
        while tape.ids().len() < expected {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let refused = tokio::select! {
        () = published => None,
        ended = relay.ended() => Some(ended.unwrap_err()),
    };
    match refused {
        None => relay.shutdown().await.unwrap(),
        Some(error @ Error::TooShort { .. }) => {
            let said = format!("{setting} is {duration:?}; set it to at least 1");
            assert!(error.to_string().starts_with(&said), "{error}");
        }
        Some(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_relay_works_with_any_duration_or_refuses_it_by_name() {
    for (setting, set) in SETTERS {
        for duration in DURATIONS {
            let ended = tokio::time::timeout(Duration::from_secs(60), run(setting, set, duration));
            ended
                .await
                .unwrap_or_else(|_| panic!("{setting}({duration:?}): no progress"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_round_interval_gathers_what_is_committed_meanwhile() {
    let (database, clock) = (Database::new(), TokioClock::default());
    let outbox = MemoryOutbox::builder(&database).open().await.unwrap();
    let tape = Tape::default();
    let relay = Relay::new(outbox.clone(), tape.clone()).clock(clock);
    let relay = relay.round_interval(Duration::from_secs(1)).spawn();
    for n in 0..20 {
        let mut tx = database.begin().await.unwrap();
        let message = message(&n.to_string());
        outbox.enqueue(&mut tx, &message).await.unwrap();
        database.commit(tx).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    while tape.ids().len() < 20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // At once, after a second, and after two.
    assert_eq!(tape.batches().len(), 3, "{:?}", tape.batches());
    relay.shutdown().await.unwrap();
}

/// A relay on paused time that starts a round every ten seconds, with the rows that are committed at once.
async fn gathering(
    messages: &[Message],
    settings: impl FnOnce(MemoryRelay) -> MemoryRelay,
) -> (Database, MemoryOutbox, Tape, MemoryRelay) {
    let clock = Arc::new(TokioClock::default());
    let database = Database::builder().clock(Arc::clone(&clock)).build();
    let outbox = MemoryOutbox::builder(&database).open().await.unwrap();
    let tape = Tape::default();
    let relay = Relay::new(outbox.clone(), tape.clone()).clock(clock);
    let relay = settings(relay.round_interval(Duration::from_secs(10)));
    let mut tx = database.begin().await.unwrap();
    for message in messages {
        outbox.enqueue(&mut tx, message).await.unwrap();
    }
    database.commit(tx).await.unwrap();
    (database, outbox, tape, relay)
}

/// How long it takes until the tape has so many messages.
async fn until_published(tape: &Tape, count: usize) -> Duration {
    let clock = TokioClock::default();
    let started = clock.monotonic();
    while tape.ids().len() < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    clock.monotonic() - started
}

#[tokio::test(start_paused = true)]
async fn a_round_interval_does_not_delay_a_backlog() {
    let messages: Vec<_> = (0..10).map(|n| message(&n.to_string())).collect();
    let limits: [fn(MemoryRelay) -> MemoryRelay; 2] =
        [|relay| relay.batch_size(2), |relay| relay.batch_bytes(1)];
    for limit in limits {
        let (_database, _outbox, tape, relay) = gathering(&messages, limit).await;
        let relay = relay.spawn();
        let took = until_published(&tape, messages.len()).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        relay.shutdown().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_round_interval_does_not_delay_what_is_tried_again() {
    let second = Duration::from_secs(1);
    let backoff = Backoff::new(second, second);
    let (_database, _outbox, tape, relay) = gathering(&[message("refused")], |relay| {
        relay.refusal_backoff(backoff)
    })
    .await;
    tape.refuse("refused");
    let relay = relay.spawn();
    while tape.refusals() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tape.accept();
    let took = until_published(&tape, 1).await;
    assert!(took < 2 * second, "{took:?}");
    relay.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_round_interval_does_not_delay_the_backlog_of_a_key_that_is_tried_again() {
    let second = Duration::from_secs(1);
    let of = |key: &str, number: i32| {
        let mut message = message(key);
        message.id = MessageId::new(format!("{key}-{number}")).unwrap();
        message
    };
    // Two keys that are due share a round of four, so no round of theirs is full.
    let messages: Vec<_> = (0..10).map(|n| of("a", n)).chain([of("b", 0)]).collect();
    let (database, outbox, tape, relay) = gathering(&messages, |relay| {
        let backoff = Backoff::new(second, second);
        let ids = SeededIds::new(2);
        relay.batch_size(4).refusal_backoff(backoff).ids(ids)
    })
    .await;
    tape.refuse("a-0");
    tape.refuse("b-0");
    let relay = relay.spawn();
    while tape.refusals() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Both are due by the end of another publish call.
    tape.accept();
    tape.hold(true);
    let calls = tape.calls();
    let mut tx = database.begin().await.unwrap();
    outbox.enqueue(&mut tx, &message("c")).await.unwrap();
    database.commit(tx).await.unwrap();
    while tape.calls() == calls {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(2 * second).await;
    tape.hold(false);
    let took = until_published(&tape, messages.len() + 1).await;
    assert!(took < second, "{took:?} {:?}", tape.batches());
    relay.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_round_interval_does_not_outlast_a_third_of_the_lease() {
    let lease = Duration::from_millis(900);
    let (database, outbox, tape, relay) =
        gathering(&[message("first")], |relay| relay.lease(lease)).await;
    let relay = relay.spawn();
    until_published(&tape, 1).await;
    let mut tx = database.begin().await.unwrap();
    outbox.enqueue(&mut tx, &message("second")).await.unwrap();
    database.commit(tx).await.unwrap();
    let took = until_published(&tape, 2).await;
    assert!(took > lease / 4 && took <= lease / 3, "{took:?}");
    relay.shutdown().await.unwrap();
}
