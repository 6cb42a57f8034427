//! Events of every version ever shipped decode into today's type.

use std::borrow::Cow;

use mainstay_messaging::{
    Event, Key, Kind, Message, MessageId, Source, Topic,
    event::{AnyEvent, DecodeError, Json, UpcastError, Upcaster, decode, encode},
};
use serde::{Deserialize, Serialize};

/// v1 had the price as one text, v2 as two, v3 has whole minor units.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct PriceChanged {
    sku: String,
    minor_units: i64,
    currency: String,
}

impl Event for PriceChanged {
    const TOPIC: &'static str = "prices";
    const KIND: &'static str = "PriceChanged";
    const VERSION: u32 = 3;
    const UPCASTERS: &'static [Upcaster] = &[split_price, count_minor_units];
}

fn split_price(mut payload: Json) -> Result<Json, UpcastError> {
    let price: String = payload.take("price")?;
    let (amount, currency) = price.split_once(' ').ok_or("`price` has no currency")?;
    payload.set("amount", amount)?;
    payload.set("currency", currency)?;
    Ok(payload)
}

fn count_minor_units(mut payload: Json) -> Result<Json, UpcastError> {
    let amount: String = payload.get("amount")?;
    let (units, cents) = amount.split_once('.').ok_or("`amount` has no cents")?;
    let minor_units = units.parse::<i64>()? * 100 + cents.parse::<i64>()?;
    payload.set("minor_units", &minor_units)?;
    Ok(payload)
}

/// An event with a key, of the version that is the default.
#[derive(Serialize, Deserialize)]
struct Restocked {
    sku: String,
}

impl Event for Restocked {
    const TOPIC: &'static str = "stock";
    const KIND: &'static str = "Restocked";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::from(&self.sku))
    }
}

const GOLDEN: [&str; 3] = [
    include_str!("../golden/price_changed.v1.json"),
    include_str!("../golden/price_changed.v2.json"),
    include_str!("../golden/price_changed.v3.json"),
];

fn today() -> PriceChanged {
    PriceChanged {
        sku: "tea".into(),
        minor_units: 450,
        currency: "EUR".into(),
    }
}

fn message(version: u32, payload: &str) -> Message {
    let mut message = Message::with_id(
        MessageId::from_static("1"),
        Source::from_static("/shop"),
        Topic::from_static("prices"),
        Kind::from_static("PriceChanged"),
    );
    message.version = version;
    message.payload = Some(payload.to_owned().into());
    message
}

#[test]
fn every_version_ever_shipped_decodes_into_todays_event() {
    for (version, payload) in (1..).zip(GOLDEN) {
        let event: PriceChanged = decode(&message(version, payload)).unwrap();
        assert_eq!(event, today(), "version {version}");
    }
}

#[test]
fn todays_event_is_written_as_its_golden_file_says() {
    let mut message = message(1, "");
    message.kind = Kind::from_static("SomethingElse");
    encode(&today(), &mut message).unwrap();
    assert_eq!(
        message.payload.as_deref(),
        Some(GOLDEN[2].trim_end().as_bytes())
    );
    assert_eq!(
        (message.kind.as_str(), message.version),
        ("PriceChanged", 3)
    );
    assert_eq!(message.content_type.as_deref(), Some("application/json"));
}

#[test]
fn any_event_writes_topic_key_kind_version_and_payload() {
    let restocked = Restocked { sku: "tea".into() };
    let events: [(&dyn AnyEvent, _); 2] = [
        (&today(), ("prices", None, "PriceChanged", 3)),
        (&restocked, ("stock", Some("tea"), "Restocked", 1)),
    ];
    for (event, expected) in events {
        let mut message = message(9, "");
        message.key = Some(Key::from_static("of something else"));
        event.write_to(&mut message).unwrap();
        let key = message.key.as_ref().map(Key::as_str);
        let (topic, kind) = (message.topic.as_str(), message.kind.as_str());
        assert_eq!((topic, key, kind, message.version), expected);
        assert_eq!(message.content_type.as_deref(), Some("application/json"));
        let built = Message::builder().event(event).source("/shop").build();
        assert_eq!(built.unwrap().payload, message.payload);
    }
    assert_eq!(
        message_of(&restocked).payload.as_deref(),
        Some(&br#"{"sku":"tea"}"#[..])
    );
}

fn message_of(event: &dyn AnyEvent) -> Message {
    let mut message = message(1, "");
    event.write_to(&mut message).unwrap();
    message
}

#[test]
fn an_event_whose_key_is_no_valid_key_leaves_the_message_alone() {
    let restocked = Restocked { sku: String::new() };
    let before = message(1, "");
    let mut after = before.clone();
    let error = restocked.write_to(&mut after).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"Restocked cannot be encoded: invalid key "": it is empty"#
    );
    assert_eq!(after, before);
}

#[test]
fn another_kind_is_named() {
    let mut message = message(3, GOLDEN[2]);
    message.kind = Kind::from_static("PriceDropped");
    let error = decode::<PriceChanged>(&message).unwrap_err();
    assert!(matches!(error, DecodeError::OtherKind { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "expected an event PriceChanged, found PriceDropped"
    );
}

#[test]
fn a_version_of_the_future_and_version_zero_are_unknown() {
    for version in [0, 4, u32::MAX] {
        let error = decode::<PriceChanged>(&message(version, GOLDEN[2])).unwrap_err();
        let DecodeError::UnknownVersion {
            found, known: 3, ..
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(found, version);
    }
}

#[test]
fn payloads_that_do_not_fit_their_version_are_undecodable() {
    for (version, payload) in [
        (3, "{"),                                                // no JSON
        (3, GOLDEN[0]),                                          // another version's fields
        (1, "["),                                                // no JSON on the way up
        (1, r#"{"sku":"tea","price":"dear"}"#),                  // an upcaster refuses
        (2, r#"{"sku":"tea","amount":"4.x","currency":"EUR"}"#), // the last upcaster refuses
        (2, r#"{"sku":7,"amount":"4.50","currency":"EUR"}"#),    // what came out is not today's
        (3, "\u{0}"),
    ] {
        let error = decode::<PriceChanged>(&message(version, payload)).unwrap_err();
        let DecodeError::Undecodable {
            version: told,
            source,
            ..
        } = &error
        else {
            panic!("{payload}: {error:?}");
        };
        assert_eq!(*told, version);
        assert!(error.to_string().contains(&source.to_string()), "{error}");
        let below = std::error::Error::source(&error).map(ToString::to_string);
        assert_ne!(below, Some(source.to_string()), "the cause is told twice");
    }
}

#[test]
fn a_tombstone_is_no_event() {
    let mut message = message(3, "");
    message.payload = None;
    let error = decode::<PriceChanged>(&message).unwrap_err();
    assert!(
        matches!(
            error,
            DecodeError::Tombstone {
                kind: "PriceChanged"
            }
        ),
        "{error:?}"
    );
}

#[test]
fn an_event_that_does_not_serialise_leaves_the_message_alone() {
    /// JSON has no keys that are lists.
    #[derive(Serialize, Deserialize, Debug)]
    struct Odd(std::collections::BTreeMap<Vec<u8>, u8>);
    impl Event for Odd {
        const TOPIC: &'static str = "prices";
        const KIND: &'static str = "Odd";
        const VERSION: u32 = 1;
    }
    let before = message(3, GOLDEN[2]);
    let mut after = before.clone();
    let error = encode(&Odd([(vec![1], 1)].into()), &mut after).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Odd cannot be encoded: key must be a string"
    );
    assert_eq!(after, before);
}

/// More digits than any number of 64 bits has.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Minted {
    units: u128,
    debt: i128,
    rate: f64,
}

impl Event for Minted {
    const TOPIC: &'static str = "mint";
    const KIND: &'static str = "Minted";
    const VERSION: u32 = 2;
    const UPCASTERS: &'static [Upcaster] = &[|v1| Ok(v1)];
}

#[test]
fn an_upcaster_keeps_all_digits() {
    for (units, debt) in [
        (25_000_000_000_000_000_001, -25_000_000_000_000_000_001),
        (u128::MAX, i128::MIN),
        (u128::from(u64::MAX) + 1, i128::from(i64::MIN) - 1),
        (0, 0),
    ] {
        let rate = 0.1 + 0.2;
        let minted = Minted { units, debt, rate };
        let mut old = Message::builder()
            .event(&minted)
            .source("/bank")
            .build()
            .unwrap();
        old.version = 1;
        assert_eq!(decode::<Minted>(&old).unwrap(), minted);
    }
}

#[test]
fn json_says_which_member_is_wrong_and_keeps_the_rest() {
    let text = r#"{"n":1e400,"twice":1,"s":"\u00e9","twice":2, "list":[1.0, -0]}"#;
    let mut json: Json = serde_json::from_str(text).unwrap();
    let said = |error: UpcastError| error.to_string();
    assert_eq!(said(json.get::<u8>("missing").unwrap_err()), "no `missing`");
    assert!(said(json.get::<u8>("n").unwrap_err()).starts_with("`n`: "));
    assert!(said(json.take::<u8>("s").unwrap_err()).starts_with("`s`: "));
    assert_eq!(json.get::<u8>("twice").unwrap(), 2);
    assert_eq!(json.take::<String>("s").unwrap(), "é");
    assert_eq!(json.take::<Option<u8>>("missing").unwrap(), None);
    json.set("twice", &u128::MAX).unwrap();
    assert_eq!(
        serde_json::to_string(&json).unwrap(),
        format!(
            r#"{{"n":1e400,"twice":1,"twice":{},"list":[1.0, -0]}}"#,
            u128::MAX
        )
    );
    let mut list = Json::of(&[1, 2]).unwrap();
    assert_eq!(said(list.get::<u8>("n").unwrap_err()), "no `n`");
    let error = list.set("n", &1).unwrap_err();
    assert_eq!(said(error), "`n` cannot be set: the payload is no object");
    assert_eq!(list.parse::<Vec<u8>>().unwrap(), [1, 2]);
}
