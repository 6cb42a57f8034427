mod times;

use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::Partition;

fn bare() -> Message {
    Message::with_id(
        MessageId::from_static("1"),
        Source::from_static("/shop"),
        Topic::from_static("orders"),
        Kind::from_static("OrderPlaced"),
    )
}

fn headers_of(message: &Message) -> Vec<(String, Bytes)> {
    write(message)
        .iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}

fn read_back(headers: &Headers) -> Result<Message, CloudEventError> {
    read(Topic::from_static("orders"), None, headers, None)
}

fn with(name: &str, value: impl Into<Bytes>) -> Headers {
    let mut headers: Vec<_> = headers_of(&bare());
    headers.retain(|(n, _)| n != name);
    headers.push((name.to_owned(), value.into()));
    headers.into_iter().collect()
}

/// Other systems read these: the list may grow, it may not change.
#[test]
fn the_headers_are_pinned() {
    let mut message = bare();
    message.version = 3;
    message.subject = Some("order 7".into());
    message.content_type = Some("application/json".into());
    message.occurred_at =
        Some(SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001));
    message.correlation_id = Some("c-1".into());
    message.causation_id = Some("0".into());
    message.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    message.headers.append("tenant", "blue");
    message.headers.append("ce_tenant", "of another system");
    message.headers.append("binary", vec![0xff, 0x00]);
    message.headers.append("ce_id", "no id");
    message
        .headers
        .append("mainstay-header-ce_id", "no id either");
    message
        .headers
        .append("mainstay-header-free", "looks escaped, is not");
    let pinned: Vec<(String, Bytes)> = [
        ("ce_specversion", &b"1.0"[..]),
        ("ce_id", b"1"),
        ("ce_source", b"/shop"),
        ("ce_type", b"OrderPlaced"),
        ("ce_subject", b"order 7"),
        ("ce_time", b"2023-11-14T22:13:20.000001Z"),
        ("content-type", b"application/json"),
        ("ce_schemaversion", b"3"),
        ("ce_correlationid", b"c-1"),
        ("ce_causationid", b"0"),
        (
            "ce_traceparent",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
        ("tenant", b"blue"),
        ("ce_tenant", b"of another system"),
        ("binary", &[0xff, 0x00]),
        ("mainstay-header-ce_id", b"no id"),
        ("mainstay-header-mainstay-header-ce_id", b"no id either"),
        ("mainstay-header-free", b"looks escaped, is not"),
    ]
    .map(|(name, value)| (name.to_owned(), Bytes::copy_from_slice(value)))
    .into();
    assert_eq!(headers_of(&message), pinned);
    assert_eq!(read_back(&write(&message)).unwrap(), message);
}

#[test]
fn a_time_of_another_system_reads_as_the_same_instant() {
    let at = |nanos| Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos));
    for (text, nanos) in [
        ("2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000_000_000_000),
        ("2023-11-14t22:13:20.5z", 1_700_000_000_500_000_000),
        ("2023-11-14T22:13:20.123456789Z", 1_700_000_000_123_456_789),
    ] {
        let message = read_back(&with("ce_time", text)).unwrap();
        assert_eq!(message.occurred_at, at(nanos), "{text}");
    }
}

#[test]
fn a_record_that_is_no_event_of_ours_says_why() {
    for name in ["ce_specversion", "ce_id", "ce_source", "ce_type"] {
        let mut headers = headers_of(&bare());
        headers.retain(|(n, _)| n != name);
        let error = read_back(&headers.into_iter().collect()).unwrap_err();
        assert!(
            matches!(error, CloudEventError::Missing(missing) if missing == name),
            "{error}"
        );
    }
    let repeated = headers_of(&bare())
        .into_iter()
        .chain([("ce_id".to_owned(), "2".into())]);
    let error = read_back(&repeated.collect()).unwrap_err();
    assert!(
        matches!(error, CloudEventError::Repeated("ce_id")),
        "{error}"
    );
    let error = read_back(&with("ce_specversion", "0.3")).unwrap_err();
    assert!(
        matches!(&error, CloudEventError::SpecVersion(found) if found == "0.3"),
        "{error}"
    );
    let error = read_back(&with("ce_id", "")).unwrap_err();
    assert!(matches!(error, CloudEventError::Name(_)), "{error}");
    for (name, value) in [
        ("ce_id", &[0xff][..]),
        ("ce_subject", &[0xff]),
        ("ce_time", b"yesterday"),
        ("ce_time", b"2023-11-14T22:13:20"),
        ("ce_epochnanos", b"soon"),
        ("ce_epochnanos", b"99999999999999999999999999999999"),
        ("ce_schemaversion", b"one"),
        ("ce_schemaversion", b"-1"),
    ] {
        let error = read_back(&with(name, value.to_vec())).unwrap_err();
        let CloudEventError::Malformed { attribute, .. } = &error else {
            panic!("{name}: {error}");
        };
        assert_eq!(*attribute, name);
    }
}

#[test]
fn an_event_without_extensions_has_version_one() {
    let mut headers = headers_of(&bare());
    headers.retain(|(name, _)| name != "ce_schemaversion");
    assert_eq!(
        read_back(&headers.into_iter().collect()).unwrap().version,
        1
    );
}

#[test]
fn a_record_without_id_is_known_by_its_place() {
    let position = Position {
        partition: Partition {
            topic: Topic::new("t".repeat(255)).unwrap(),
            number: i32::MAX,
        },
        offset: i64::MAX,
    };
    let (source, id) = identity(&position);
    assert_eq!(format!("{source}/{id}"), position.to_string());
    assert!(MessageId::new(id.as_str()).is_ok());
}

/// Names that collide as often as not.
fn header_name() -> impl Strategy<Value = String> {
    let tricky = prop_oneof![
        proptest::sample::select(&ATTRIBUTES[..]).prop_map(str::to_owned),
        "(ce_|mainstay-header-)?[a-z]{0,4}",
        ".{0,9}",
    ];
    (0..3usize, tricky).prop_map(|(escapes, name)| ESCAPE.repeat(escapes) + &name)
}

fn headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let value = proptest::collection::vec(any::<u8>(), 0..9);
    proptest::collection::vec((header_name(), value), 0..6)
}

prop_compose! {
    fn message()(
        names in proptest::collection::vec("[^\\p{Cc}]{1,20}", 3),
        version in any::<u32>(),
        texts in proptest::collection::vec(proptest::option::of(".{0,20}"), 5),
        headers in headers(),
        occurred_at in proptest::option::of((any::<bool>(), 0..1_u64 << 40, 0..1_000_000_000_u32)),
        (key, payload) in (proptest::option::of("[^\\p{Cc}]{1,20}"), proptest::option::of(proptest::collection::vec(any::<u8>(), 0..30))),
    ) -> Message {
        let mut message = Message::with_id(
            MessageId::new(&*names[0]).unwrap(), Source::new(&*names[1]).unwrap(), Topic::from_static("t"), Kind::new(&*names[2]).unwrap(),
        );
        message.version = version;
        let mut texts = texts.into_iter();
        let mut next = || texts.next().flatten();
        (message.subject, message.content_type) = (next(), next());
        (message.correlation_id, message.causation_id, message.traceparent) = (next(), next(), next());
        message.headers = headers.into_iter().collect();
        message.occurred_at = occurred_at.map(|(before, seconds, nanos)| {
            let distance = Duration::new(seconds, nanos);
            if before { SystemTime::UNIX_EPOCH - distance } else { SystemTime::UNIX_EPOCH + distance }
        });
        message.key = key.map(|key| Key::new(key).unwrap());
        message.payload = payload.map(Bytes::from);
        message
    }
}

proptest! {
    #[test]
    fn every_message_reads_back_the_same(message in message()) {
        let headers = write(&message);
        let read = read(message.topic.clone(), message.key.clone(), &headers, message.payload.clone()).unwrap();
        prop_assert_eq!(&read, &message);
        prop_assert_eq!(write(&read), headers);
    }

    #[test]
    fn headers_of_another_system_survive_the_way_through_a_message(
        names in proptest::collection::vec("[^\\p{Cc}]{1,20}", 3), others in headers(),
    ) {
        let mut record = Headers::new();
        record.append("ce_specversion", "1.0");
        for (name, value) in ["ce_id", "ce_source", "ce_type"].iter().zip(names) {
            record.append(*name, value);
        }
        record.append("ce_schemaversion", "1");
        for (name, value) in others.into_iter().filter(|(name, _)| !ATTRIBUTES.contains(&name.as_str())) {
            record.append(name, value);
        }
        prop_assert_eq!(write(&read_back(&record).unwrap()), record);
    }
}
