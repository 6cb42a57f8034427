//! The event of the tests that are not in the suite.
#![expect(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "each suite uses some of it")]

use mainstay_messaging::{
    Group, Key, Kind, Message, MessageId, Source, Topic,
    event::{Event, encode},
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
}

impl Event for Named {
    const KIND: &'static str = "Named";
    const VERSION: u32 = 1;
}

pub(crate) fn topic() -> Topic {
    Topic::from_static("orders")
}

pub(crate) fn group() -> Group {
    Group::from_static("billing")
}

pub(crate) fn message(key: &str, number: usize) -> Message {
    let name = format!("{key}-{number}");
    let id = MessageId::new(name.as_str()).unwrap();
    let kind = Kind::from_static(Named::KIND);
    let mut message = Message::with_id(id, Source::from_static("/test"), topic(), kind);
    encode(&Named { name }, &mut message).unwrap();
    message.with_key(Key::new(key).unwrap())
}
