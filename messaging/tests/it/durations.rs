//! Every duration that can be set, down to nothing and up to the longest, and then a run.

use std::{collections::BTreeSet, time::Duration};

use mainstay_messaging::{
    Consumer, Error, Key, Kind, Message, MessageId, Publisher, Source, Topic,
    broker::{ConsumerEvent, Content, Delivery},
};

const DURATIONS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_millis(1),
    Duration::MAX,
];

fn message(number: usize) -> Message {
    let mut message = Message::with_id(
        MessageId::new(number.to_string()).unwrap(),
        Source::from_static("/test"),
        Topic::from_static("orders"),
        Kind::from_static("Counted"),
    );
    message.payload = Some(number.to_string().into());
    message.with_key(Key::new(number.to_string()).unwrap())
}

fn number_of(delivery: &Delivery) -> usize {
    let Content::Message(message) = &delivery.content else {
        panic!("{delivery:?}");
    };
    message.id.as_str().parse().unwrap()
}

/// Publishes and reads with two members, which divide the partitions between them.
async fn serve(publisher: impl Publisher, [mut one, mut two]: [impl Consumer; 2]) {
    let mut read = BTreeSet::new();
    for number in 0..8 {
        for outcome in publisher.publish(&[message(number)]).await {
            assert!(outcome.is_acknowledged(), "{outcome:?}");
        }
        while !read.contains(&number) {
            // Events of a broker in memory may be ready without end.
            tokio::task::yield_now().await;
            let (member, event) = tokio::select! {
                event = one.next() => (&mut one, event),
                event = two.next() => (&mut two, event),
            };
            let event = match event {
                Ok(event) => event,
                // A member may not have heard from the cluster in time: it goes on.
                Err(error) => {
                    assert!(error.is_retryable(), "{error}");
                    continue;
                }
            };
            match event {
                ConsumerEvent::Deliveries(deliveries) => {
                    read.extend(deliveries.iter().map(number_of));
                    for delivery in deliveries {
                        match member.commit(&[delivery.position.next()]).await {
                            // The other member has taken it: a lease may be over at once.
                            Ok(()) | Err(Error::NotAssigned(_)) => {}
                            Err(error) => assert!(error.is_retryable(), "{error}"),
                        }
                    }
                }
                ConsumerEvent::Revoked { partitions, .. } => {
                    while let Err(error) = member.release(&partitions).await {
                        assert!(error.is_retryable(), "{error}");
                    }
                }
                ConsumerEvent::Assigned(_) | ConsumerEvent::Lost(_) | ConsumerEvent::Recovered => {}
            }
        }
    }
}

async fn in_time(setting: &str, duration: Duration, run: impl Future<Output = ()>) {
    let ended = tokio::time::timeout(Duration::from_secs(60), run).await;
    ended.unwrap_or_else(|_| panic!("{setting}({duration:?}): no progress"));
}

#[cfg(feature = "memory")]
#[tokio::test]
async fn the_broker_in_memory_works_with_any_duration() {
    use mainstay_messaging::memory::{Broker, Builder};
    type Setter = fn(Builder, Duration) -> Builder;
    let setters: [(&str, Setter); 2] = [
        ("lease", Builder::lease),
        ("revocation_timeout", Builder::revocation_timeout),
    ];
    for (setting, set) in setters {
        for duration in DURATIONS {
            let broker = set(Broker::builder(), duration).build();
            broker.create_topic("orders", 2).await.unwrap();
            let join = || broker.consumer("g").subscribe(["orders"]);
            let members = [join().await.unwrap(), join().await.unwrap()];
            in_time(setting, duration, serve(broker.publisher(), members)).await;
        }
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_broker_in_a_file_works_with_any_duration() {
    use mainstay_messaging::sqlite::{Broker, Builder};
    type Setter = fn(Builder, Duration) -> Builder;
    let setters: [(&str, Setter); 3] = [
        ("lease", Builder::lease),
        ("revocation_timeout", Builder::revocation_timeout),
        ("poll_interval", Builder::poll_interval),
    ];
    for (setting, set) in setters {
        for duration in DURATIONS {
            let directory = tempfile::tempdir().unwrap();
            let builder = Broker::builder(directory.path().join("log.db"));
            let broker = set(builder, duration).open().await.unwrap();
            broker.create_topic("orders", 2).await.unwrap();
            let join = || broker.consumer("g").subscribe(["orders"]);
            let members = [join().await.unwrap(), join().await.unwrap()];
            in_time(setting, duration, serve(broker.publisher(), members)).await;
            for keep in DURATIONS {
                broker.prune(keep, 1).await.unwrap();
            }
        }
    }
}

#[cfg(all(feature = "conformance", feature = "kafka"))]
#[tokio::test]
async fn the_broker_of_kafka_works_with_any_duration() {
    use crate::kafka::mock::Mock;
    use mainstay_messaging::kafka::{Broker, Builder};
    type Setter = fn(Builder, Duration) -> Builder;
    const LONGEST: &[Duration] = &[Duration::from_hours(24 * 25), Duration::MAX];
    let setters: [(&str, Setter, &[Duration]); 2] = [
        (
            "revocation_timeout",
            Builder::revocation_timeout,
            &DURATIONS,
        ),
        // Within nothing there is no answer.
        ("request_timeout", Builder::request_timeout, LONGEST),
    ];
    for (setting, set, durations) in setters {
        for &duration in durations {
            let mock = Mock::start();
            mock.create_topic("orders", 2);
            let builder = Broker::builder(&mock.servers).max_message_size(1_000_000);
            let broker = set(builder, duration).open().await.unwrap();
            let join = || broker.consumer("g").subscribe(["orders"]);
            let members = [join().await.unwrap(), join().await.unwrap()];
            in_time(setting, duration, serve(broker.publisher(), members)).await;
        }
    }
}
