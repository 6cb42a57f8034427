use super::*;
use proptest::prelude::*;

fn name() -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{1,20}"
}

prop_compose! {
    fn message()(
        id in name(), source in name(), kind in name(), version in any::<u32>(),
        texts in proptest::collection::vec(proptest::option::of(".{0,20}"), 5),
        headers in proptest::collection::vec((".{0,9}", proptest::collection::vec(any::<u8>(), 0..9)), 0..4),
        occurred_at in proptest::option::of(-1_i64 << 50..1 << 50),
        payload in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..30)),
    ) -> Message {
        let mut message = Message::with_id(
            MessageId::new(id).unwrap(), Source::new(source).unwrap(), Topic::from_static("t"), Kind::new(kind).unwrap(),
        );
        message.version = version;
        let mut texts = texts.into_iter();
        let mut next = || texts.next().flatten();
        (message.subject, message.content_type) = (next(), next());
        (message.correlation_id, message.causation_id, message.traceparent) = (next(), next(), next());
        message.headers = headers.into_iter().collect();
        message.occurred_at = occurred_at.map(time_of);
        message.payload = payload.map(Bytes::from);
        message
    }
}

proptest! {
    #[test]
    fn written_text_reads_back_the_same(message in message()) {
        let read = read(&write(&message), message.topic.clone(), None, message.payload.clone()).unwrap();
        prop_assert_eq!(read, message);
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic(cut in 0..60usize) {
        let mut message = Message::with_id(
            MessageId::from_static("1"), Source::from_static("s"), Topic::from_static("t"), Kind::from_static("K"),
        );
        message.headers.append("h", vec![0xff]);
        let text = write(&message);
        prop_assume!(cut < text.len());
        prop_assert!(read(&text[..cut], message.topic, None, None).is_err());
    }
}

/// A relay of this build may lie between a writer and a consumer of a newer one.
#[test]
fn fields_of_a_newer_build_are_kept() {
    let newer = r#"{"id":"1","source":"/shop","kind":"OrderPlaced","version":1,"subject":"s","deadline":{"at":1700000000000001},"tracestate":"vendor=1"}"#;
    let message = read(newer, Topic::from_static("orders"), None, None).unwrap();
    assert_eq!(write(&message), newer);
    assert_eq!(
        write(&message.clone().with_key(Key::from_static("k"))),
        newer
    );
    let known = newer.split(r#","deadline"#).next().unwrap().to_owned() + "}";
    let without = read(&known, message.topic.clone(), None, None).unwrap();
    assert_eq!(write(&without), known);
    assert!(message.size() >= without.size() + r#"deadline{"at":1700000000000001}"#.len());
}

/// The text is in tables of running systems: it may grow, it may not change.
#[test]
fn the_stored_text_is_pinned() {
    let mut message = Message::with_id(
        MessageId::from_static("1"),
        Source::from_static("/shop"),
        Topic::from_static("orders"),
        Kind::from_static("OrderPlaced"),
    );
    message.headers.append("a", "b");
    message.headers.append("c", vec![0xff, 0x00]);
    message.occurred_at = Some(time_of(1_700_000_000_000_001));
    assert_eq!(
        write(&message),
        r#"{"id":"1","source":"/shop","kind":"OrderPlaced","version":1,"headers":[["a","b"],["c","ff00","hex"]],"occurred_at":1700000000000001}"#
    );
    let newer = r#"{"id":"1","source":"/shop","kind":"OrderPlaced","version":1,"format":2}"#;
    assert!(matches!(
        read(newer, message.topic, None, None),
        Err(EnvelopeError::NewerFormat(2))
    ));
}

const KNOWN: &str = r#"{"id":"1","source":"/shop","kind":"OrderPlaced","version":1"#;

fn stored(unknown: &str) -> Message {
    let text = format!("{KNOWN},{unknown}}}");
    read(&text, Topic::from_static("orders"), None, None).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A relay of this build may lie between a writer and a consumer of a newer one.
#[test]
fn unknown_attributes_pass_byte_for_byte() {
    for value in [
        "25000000000000000001",
        "340282366920938463463374607431768211456",
        "-170141183460469231731687303715884105729",
        "3.14159265358979323846264338327950288",
        "1e400",
        "-1E-400",
        "1.0",
        "-0",
        "0.10",
        "1e5",
        r#"{"b":1,"a":2.50,"b":[1e999]}"#,
        r#"{ "spaced" : [ 1 , 2 ] }"#,
        r#""\u00e9\/\ud83d\ude00""#,
        r#""\ud800 alone""#,
        "null",
        "true",
    ] {
        let unknown = format!(r#""zeta":{value},"alpha":{value}"#);
        assert_eq!(write(&stored(&unknown)), format!("{KNOWN},{unknown}}}"));
    }
    let quoted = r#""a \"name\" of \\ its own":1"#;
    assert_eq!(write(&stored(quoted)), format!("{KNOWN},{quoted}}}"));
}

proptest! {
    #[test]
    fn unknown_numbers_keep_their_digits(
        number in "-?(0|[1-9][0-9]{0,45})(\\.[0-9]{1,45})?([eE][+-]?[0-9]{1,4})?", name in "[a-z]{3,9}_x",
    ) {
        let unknown = format!(r#""{name}":{number}"#);
        prop_assert_eq!(write(&stored(&unknown)), format!("{KNOWN},{unknown}}}"));
    }
}

#[test]
fn every_time_of_the_platform_reads_back() {
    let mut message = stored(r#""x":1"#);
    let far = Duration::from_micros(u64::MAX);
    for time in [
        SystemTime::UNIX_EPOCH - far,
        SystemTime::UNIX_EPOCH + far,
        SystemTime::UNIX_EPOCH + far * 300,
        SystemTime::UNIX_EPOCH - Duration::from_micros(1),
    ] {
        message.occurred_at = Some(time);
        let read = read(&write(&message), message.topic.clone(), None, None).unwrap();
        assert_eq!(read.occurred_at, Some(time));
    }
    let beyond = format!(r#"{KNOWN},"occurred_at":{}}}"#, i128::MAX);
    let error = read(&beyond, message.topic, None, None).unwrap_err();
    assert!(matches!(error, EnvelopeError::Time(_)), "{error}");
}

#[test]
fn an_attribute_that_is_there_twice_is_damage() {
    let twice = format!(r#"{KNOWN},"kind":"Other"}}"#);
    let error = read(&twice, Topic::from_static("orders"), None, None).unwrap_err();
    assert!(matches!(error, EnvelopeError::Damaged(_)), "{error}");
}
