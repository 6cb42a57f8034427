//! The dead letter topic.
#![expect(clippy::unwrap_used, reason = "tests")]

use mainstay_dlq::DeadLetterTopic;
use mainstay_inbox::failure::{Failure, FailureKind, FailureOutcome, FailurePolicy as _};
use mainstay_messaging::{
    Consumer as _, Delivery, Group, Headers, Key, Kind, Message, MessageId, Partition, Position,
    Source, Topic,
    broker::{ConsumerEvent, Content, Raw},
    memory::{Broker, LogConsumer},
};

fn delivery(content: Content) -> Delivery {
    Delivery {
        position: Position {
            partition: Partition {
                topic: Topic::from_static("orders"),
                number: 3,
            },
            offset: 17,
        },
        content,
    }
}

async fn next(consumer: &mut LogConsumer) -> Message {
    loop {
        if let ConsumerEvent::Deliveries(deliveries) = consumer.next().await.unwrap() {
            return deliveries[0].content.message().unwrap().clone();
        }
    }
}

#[tokio::test]
async fn what_cannot_be_handled_is_published_with_where_and_why() {
    let broker = Broker::new();
    broker.create_topic("orders.dead", 1).await.unwrap();
    let policy = DeadLetterTopic::new(broker.publisher(), "orders.dead").unwrap();
    let mut consumer = broker
        .consumer("ops")
        .subscribe(["orders.dead"])
        .await
        .unwrap();
    let (group, failure) = (
        Group::from_static("billing"),
        Failure::new(FailureKind::Permanent, 2, "poison"),
    );
    let mut message = Message::with_id(
        MessageId::from_static("1"),
        Source::from_static("/shop"),
        Topic::from_static("orders"),
        Kind::from_static("OrderPlaced"),
    );
    message.key = Some(Key::from_static("ada"));
    message.payload = Some("{".into());
    let kept = policy
        .on_failure(
            &group,
            &delivery(Content::Message(message.clone())),
            &failure,
        )
        .await;
    assert_eq!(kept.unwrap(), FailureOutcome::DeadLettered);
    let copy = next(&mut consumer).await;
    assert_eq!(
        (&copy.id, &copy.key, &copy.payload),
        (&message.id, &message.key, &message.payload)
    );
    let header = |name| copy.headers.get(name).map(|value| value.to_vec()).unwrap();
    assert_eq!(header("dlq-position"), b"orders/3/17");
    assert_eq!(
        (header("dlq-error"), header("dlq-attempts")),
        (b"poison".to_vec(), b"2".to_vec())
    );

    let raw = Raw {
        key: Some(vec![0xff].into()),
        headers: Headers::new(),
        payload: Some(vec![0, 0xfe].into()),
        reason: "no envelope".to_owned(),
    };
    let kept = policy
        .on_failure(&group, &delivery(Content::Raw(raw)), &failure)
        .await;
    assert_eq!(kept.unwrap(), FailureOutcome::DeadLettered);
    let copy = next(&mut consumer).await;
    assert_eq!(copy.payload.as_deref(), Some(&[0, 0xfe][..]));
    assert_eq!(
        copy.headers.get("dlq-key").map(|key| key.to_vec()),
        Some(vec![0xff])
    );
}

#[tokio::test]
async fn a_publication_that_fails_acknowledges_nothing() {
    let broker = Broker::new();
    let policy = DeadLetterTopic::new(broker.publisher(), "missing").unwrap();
    let message = Message::with_id(
        MessageId::from_static("1"),
        Source::from_static("/shop"),
        Topic::from_static("orders"),
        Kind::from_static("OrderPlaced"),
    );
    let failure = Failure::new(FailureKind::Permanent, 1, "poison");
    let group = Group::from_static("billing");
    let asked = policy
        .on_failure(&group, &delivery(Content::Message(message)), &failure)
        .await;
    assert!(asked.is_err_and(|error| error.is_retryable()));
}
