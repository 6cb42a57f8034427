//! What publishing guarantees.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use super::{PublisherFixture, keyed, message, other_topic, oversize, publish, topic};
use crate::{
    Error, Message, Topic,
    broker::{Content, Partition, PublishOutcome, Publisher},
    envelope,
};

pub async fn messages_of_one_key_keep_their_order<F: PublisherFixture>(f: &F) {
    f.create_topic(&topic(), 3).await;
    let (publisher, keys) = (f.publisher(), ["a", "b", "c", "d", "e"]);
    for batch in 0..10 {
        let messages: Vec<_> = (batch * 10..batch * 10 + 10)
            .flat_map(|number| keys.map(|key| message(key, number)))
            .collect();
        publish(&publisher, &messages).await;
    }
    let deliveries = f.records(&topic()).await;
    for key in keys {
        assert_eq!(
            keyed(&deliveries)[key],
            (0..100).collect::<Vec<_>>(),
            "{key}"
        );
    }
    let mut next: BTreeMap<Partition, i64> = BTreeMap::new();
    for delivery in deliveries {
        let expected = next.entry(delivery.position.partition).or_default();
        assert_eq!(delivery.position.offset, *expected, "a gap in the offsets");
        *expected += 1;
    }
}

pub async fn a_refused_message_stops_its_key_and_no_other<F: PublisherFixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    let mut oversize = message("a", 1);
    oversize.payload = Some(vec![0; f.too_large()].into());
    let outcomes = f
        .publisher()
        .publish(&[
            message("a", 0),
            oversize,
            message("b", 0),
            message("a", 2),
            message("b", 1),
        ])
        .await;
    let [
        PublishOutcome::Acknowledged,
        PublishOutcome::Refused(Error::TooLarge { .. }),
        PublishOutcome::Acknowledged,
        PublishOutcome::Unknown(_),
        PublishOutcome::Acknowledged,
    ] = outcomes.as_slice()
    else {
        panic!("{outcomes:?}");
    };
    let stored = keyed(&f.records(&topic()).await);
    assert_eq!(
        (&stored["a"][..], &stored["b"][..]),
        (&[0][..], &[0, 1][..])
    );
}

pub async fn an_unknown_topic_is_refused<F: PublisherFixture>(f: &F) {
    f.create_topic(&Topic::from_static("another"), 1).await;
    let outcomes = f.publisher().publish(&[message("a", 0)]).await;
    let [PublishOutcome::Refused(Error::UnknownTopic(unknown))] = outcomes.as_slice() else {
        panic!("{outcomes:?}");
    };
    assert_eq!(*unknown, topic());
}

pub async fn tombstones_and_keyless_messages_travel<F: PublisherFixture>(f: &F) {
    f.create_topic(&topic(), 3).await;
    let mut tombstone = message("a", 0);
    tombstone.payload = None;
    let mut keyless = message("b", 1);
    keyless.key = None;
    keyless.headers.append("binary", vec![0xff, 0x00]);
    publish(&f.publisher(), &[tombstone.clone(), keyless.clone()]).await;
    let mut read: Vec<Message> = f
        .records(&topic())
        .await
        .into_iter()
        .map(|delivery| match delivery.content {
            Content::Message(message) => message,
            Content::Raw(raw) => panic!("{raw:?}"),
        })
        .collect();
    read.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(read, [tombstone, keyless]);
}

pub async fn a_refusal_stops_its_key_in_its_topic_only<F: PublisherFixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    f.create_topic(&other_topic(), 2).await;
    let in_other = |mut message: Message| {
        message.topic = other_topic();
        message
    };
    let outcomes = f
        .publisher()
        .publish(&[
            message("a", 0),
            in_other(message("a", 0)),
            oversize(f, message("a", 1)),
            in_other(message("a", 1)),
            message("a", 2),
            in_other(oversize(f, message("a", 2))),
            in_other(message("a", 3)),
        ])
        .await;
    let acknowledged: Vec<bool> = outcomes
        .iter()
        .map(PublishOutcome::is_acknowledged)
        .collect();
    assert_eq!(
        acknowledged,
        [true, true, false, true, false, false, false],
        "{outcomes:?}"
    );
    for (topic, stored) in [(topic(), &[0][..]), (other_topic(), &[0, 1])] {
        assert_eq!(keyed(&f.records(&topic).await)["a"], stored);
    }
}

pub async fn a_refused_message_without_key_stops_nothing<F: PublisherFixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    let keyless = |number| {
        let mut message = message("none", number);
        message.key = None;
        message
    };
    let outcomes = f
        .publisher()
        .publish(&[keyless(0), oversize(f, keyless(1)), keyless(2)])
        .await;
    let [
        PublishOutcome::Acknowledged,
        PublishOutcome::Refused(_),
        PublishOutcome::Acknowledged,
    ] = outcomes.as_slice()
    else {
        panic!("{outcomes:?}");
    };
}

pub async fn every_message_has_one_outcome<F: PublisherFixture>(f: &F) {
    f.create_topic(&topic(), 2).await;
    let publisher = f.publisher();
    assert_eq!(publisher.publish(&[]).await.len(), 0);
    let messages: Vec<_> = (0..1_000).map(|number| message("a", number)).collect();
    assert_eq!(publisher.publish(&messages).await.len(), 1_000);
}

pub async fn every_part_of_a_message_travels<F: PublisherFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let mut sent = message("a", 0);
    sent.version = 7;
    sent.subject = Some("order 1".into());
    sent.content_type = Some("application/json".into());
    sent.headers.append("twice", "1");
    sent.headers.append("twice", vec![0xff]);
    sent.headers.append("ce_id", "not the id");
    sent.payload = Some("\u{0}\u{fffd} bytes".into());
    sent.occurred_at = Some(SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456));
    sent.correlation_id = Some("c".into());
    sent.causation_id = Some("b".into());
    sent.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    publish(&f.publisher(), &[sent.clone()]).await;
    let deliveries = f.records(&topic()).await;
    let Content::Message(received) = &deliveries[0].content else {
        panic!("{deliveries:?}");
    };
    assert_eq!(*received, sent);
}

pub async fn every_time_travels<F: PublisherFixture>(f: &F) {
    f.create_topic(&topic(), 1).await;
    let times = [
        -62_167_219_200_000_000,   // 0000-01-01T00:00:00Z
        -62_167_219_200_000_001,   // before RFC 3339
        -1,                        // before 1970
        253_402_300_799_999_999,   // 9999-12-31T23:59:59.999999Z
        253_402_300_800_000_000,   // after RFC 3339
        9_223_372_036_854_775_806, // nearly the last of 64 bits
    ];
    let sent: Vec<Message> = (0..)
        .zip(times)
        .map(|(number, micros)| {
            let mut message = message("a", number);
            message.occurred_at = Some(envelope::time_of(micros));
            message
        })
        .collect();
    publish(&f.publisher(), &sent).await;
    let records = f.records(&topic()).await;
    let received: Vec<_> = records.iter().map(|d| d.content.message()).collect();
    assert_eq!(received, sent.iter().map(Some).collect::<Vec<_>>());
}
