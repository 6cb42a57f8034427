//! Records that other programs have written.

use std::time::Duration;

use mainstay_messaging::{
    Consumer, Topic,
    broker::Content,
    conformance::PublisherFixture as _,
    kafka::rdkafka::{
        message::{Header, OwnedHeaders},
        producer::{BaseProducer, BaseRecord, Producer as _},
    },
};

use super::{
    fixture::{KafkaFixture, PATIENCE, read},
    real,
};

fn headers(pairs: &[(&str, &str)]) -> OwnedHeaders {
    (pairs.iter()).fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header {
            key,
            value: Some(*value),
        })
    })
}

#[tokio::test]
async fn events_of_other_producers_are_messages() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let topic = f.topic(1).await;
    let event = headers(&[
        ("ce_specversion", "1.0"),
        ("ce_id", "17"),
        ("ce_source", "https://example.com/shop"),
        ("ce_type", "com.example.order.placed"),
        ("ce_time", "2026-01-02T03:04:05+01:00"),
        ("ce_region", "north"),
        ("content-type", "application/json"),
    ]);
    f.append_raw(&topic, 0, Some(b"order-17"), Some(b"{}"), event);
    let deliveries = read(&mut f.join(&topic).await, 1).await;
    let message = deliveries[0].content.message().unwrap();
    assert_eq!(message.id.as_str(), "17");
    assert_eq!(message.source.as_str(), "https://example.com/shop");
    assert_eq!(message.kind.as_str(), "com.example.order.placed");
    assert_eq!(message.key.as_ref().unwrap().as_str(), "order-17");
    assert_eq!(message.headers.get("ce_region").unwrap(), "north");
    assert_eq!(message.payload.as_deref(), Some(&b"{}"[..]));
}

#[tokio::test]
async fn a_record_with_a_binary_key_is_delivered_raw() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let topic = f.topic(1).await;
    let event = headers(&[
        ("ce_specversion", "1.0"),
        ("ce_id", "1"),
        ("ce_source", "/shop"),
        ("ce_type", "Counted"),
    ]);
    f.append_raw(&topic, 0, Some(&[0xff, 0xfe]), None, event);
    let deliveries = read(&mut f.join(&topic).await, 1).await;
    let Content::Raw(raw) = &deliveries[0].content else {
        panic!("{deliveries:?}");
    };
    assert_eq!(raw.key.as_deref(), Some(&[0xff, 0xfe][..]));
    assert_eq!(raw.headers.get("ce_id").unwrap(), "1");
    assert!(!raw.reason.is_empty());
}

/// Appends two records in a transaction, which is committed or aborted.
fn transaction(f: &KafkaFixture, topic: &Topic, payload: &str, commits: bool) {
    let producer: BaseProducer = f
        .config()
        .set("transactional.id", f.full(topic))
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    let topic = f.full(topic);
    for _ in 0..2 {
        let record = BaseRecord::<str, str>::to(&topic).partition(0);
        producer.send(record.payload(payload)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    if commits {
        producer.commit_transaction(PATIENCE).unwrap();
    } else {
        producer.abort_transaction(PATIENCE).unwrap();
    }
}

#[tokio::test]
async fn aborted_records_and_the_ends_of_transactions_are_gaps() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let topic = f.topic(1).await;
    for (payload, commits) in [("one", true), ("none", false), ("two", true)] {
        transaction(&f, &topic, payload, commits);
    }
    let mut consumer = f.join(&topic).await;
    let deliveries = read(&mut consumer, 4).await;
    let offsets: Vec<i64> = deliveries.iter().map(|d| d.position.offset).collect();
    assert_eq!(offsets, [0, 1, 6, 7]);
    // A reader of the whole topic ends behind the last gap.
    assert_eq!(f.records(&topic).await.len(), 4);
    // The next holder continues behind a gap.
    consumer
        .commit(&[deliveries[1].position.next()])
        .await
        .unwrap();
    drop(consumer);
    let deliveries = read(&mut f.join(&topic).await, 2).await;
    assert_eq!(deliveries[0].position.offset, 6);
}

#[tokio::test]
async fn a_reader_of_empty_topics_ends_at_once() {
    let Some(f) = real::fixture().await else {
        return;
    };
    let topic = f.topic(3).await;
    let mut reader = f.broker.read([&topic]).await.unwrap();
    assert_eq!(reader.partitions().len(), 3);
    let ended = tokio::time::timeout(Duration::from_secs(30), reader.next()).await;
    assert!(ended.unwrap().unwrap().is_none());
    assert_eq!(reader.newest(), None);
}
