//! Building messages.

use std::{
    borrow::Cow,
    error::Error as _,
    time::{Duration, SystemTime},
};

use mainstay_clock::{SeededIds, TokioClock};
use mainstay_messaging::{Error, Event, Key, Message, MessageBuilder, Topic};
use serde::{Deserialize, Serialize};

fn builder() -> MessageBuilder {
    let builder = Message::builder().topic("orders").kind("OrderPlaced");
    builder.source("/shop")
}

#[test]
fn names_are_literals_strings_or_newtypes() {
    let topic = Topic::from_static("orders");
    for builder in [
        builder().topic("orders"),
        builder().topic("orders".to_owned()),
        builder().topic(&topic),
        builder().topic(topic.clone()),
    ] {
        assert_eq!(builder.build().unwrap().topic, topic);
    }
    assert_eq!("k".parse::<Key>().unwrap(), Key::from_static("k"));
    assert_eq!(Key::try_from("k").unwrap(), Key::from_static("k"));
    assert!(Key::try_from("two\nlines".to_owned()).is_err());
}

#[test]
fn every_part_that_is_set_is_in_the_message() {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
    let message = builder()
        .id("1")
        .key("order-7")
        .version(2)
        .payload("text")
        .content_type("text/plain")
        .subject("order 7")
        .header("twice", "1")
        .header("twice", vec![0xff])
        .correlation_id("c")
        .causation_id("b")
        .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .occurred_at(time)
        .build()
        .unwrap();
    assert_eq!(message.id.as_str(), "1");
    assert_eq!(message.source.as_str(), "/shop");
    assert_eq!(message.kind.as_str(), "OrderPlaced");
    assert_eq!(message.key, Some(Key::from_static("order-7")));
    assert_eq!(message.version, 2);
    assert_eq!(message.payload.as_deref(), Some(&b"text"[..]));
    assert_eq!(message.content_type.as_deref(), Some("text/plain"));
    assert_eq!(message.subject.as_deref(), Some("order 7"));
    assert_eq!(message.headers.len(), 2);
    assert_eq!(message.correlation_id.as_deref(), Some("c"));
    assert_eq!(message.causation_id.as_deref(), Some("b"));
    assert!(message.traceparent.unwrap().starts_with("00-4bf9"));
    let cut = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
    assert_eq!(message.occurred_at, Some(cut));
}

#[test]
fn id_and_time_come_from_the_given_generators() {
    let build = || {
        let builder = builder().ids(SeededIds::new(7));
        builder.clock(TokioClock::default()).build().unwrap()
    };
    assert_eq!(build().id, build().id);
    let (first, second) = (builder().build().unwrap(), builder().build().unwrap());
    assert_ne!(first.id, second.id);
    assert!(first.occurred_at.is_some());
}

#[test]
fn a_message_names_the_one_that_caused_it() {
    let first = builder().id("1").build().unwrap();
    let second = builder().id("2").caused_by(&first).build().unwrap();
    let third = builder().caused_by(&second).build().unwrap();
    assert_eq!(second.causation_id.as_deref(), Some("1"));
    assert_eq!(third.causation_id.as_deref(), Some("2"));
    for message in [second, third] {
        assert_eq!(message.correlation_id.as_deref(), Some("1"));
    }
}

#[test]
fn the_first_bad_value_is_named() {
    let bad_key = builder().key("").kind("").build().unwrap_err();
    assert!(matches!(bad_key, Error::InvalidName(_)), "{bad_key:?}");
    assert_eq!(bad_key.to_string(), r#"invalid key "": it is empty"#);

    let numbers = std::collections::BTreeMap::from([(vec![1], 1)]);
    let bad_json = builder().json(&numbers).build().unwrap_err();
    assert_eq!(
        bad_json.to_string(),
        "the payload cannot be encoded: key must be a string"
    );
    assert!(bad_json.source().is_none(), "the cause is told twice");
    assert!(!bad_json.is_retryable());
}

#[test]
fn a_missing_part_is_named() {
    let (topic, kind) = (Message::builder(), Message::builder().topic("orders"));
    let source = Message::builder().topic("orders").kind("OrderPlaced");
    for (builder, part) in [(topic, "topic"), (kind, "kind"), (source, "source")] {
        let error = builder.build().unwrap_err();
        let said = format!("the message has no {part}: set it");
        assert_eq!(error.to_string(), said);
    }
}

#[derive(Serialize, Deserialize)]
struct Placed {
    order: Option<String>,
}

impl Event for Placed {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "OrderPlaced";

    fn key(&self) -> Option<Cow<'_, str>> {
        self.order.as_deref().map(Cow::from)
    }
}

/// Whether the key is set before the event or after it.
#[test]
fn an_event_without_a_key_leaves_that_of_the_builder() {
    let event = Placed { order: None };
    let before = builder().key("customer-1").event(&event);
    let after = builder().event(&event).key("customer-1");
    for builder in [before, after] {
        let key = builder.build().unwrap().key;
        assert_eq!(key, Some(Key::from_static("customer-1")));
    }
    assert_eq!(builder().event(&event).build().unwrap().key, None);
}

#[test]
fn the_key_of_an_event_counts_unless_another_is_set_after_it() {
    let event = Placed {
        order: Some("order-7".to_owned()),
    };
    let before = builder().key("customer-1").event(&event).build().unwrap();
    assert_eq!(before.key, Some(Key::from_static("order-7")));
    let after = builder().event(&event).key("customer-1").build().unwrap();
    assert_eq!(after.key, Some(Key::from_static("customer-1")));
}
