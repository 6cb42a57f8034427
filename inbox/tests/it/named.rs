//! The event of the tests that are not in the suite.
#![expect(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "each suite uses some of it")]

use mainstay_messaging::{Event, Group, Message, Topic};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
}

impl Event for Named {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Named";
}

pub(crate) fn topic() -> Topic {
    Topic::from_static("orders")
}

pub(crate) fn group() -> Group {
    Group::from_static("billing")
}

pub(crate) fn message(key: &str, number: usize) -> Message {
    let name = format!("{key}-{number}");
    let message = Message::builder().id(&*name).source("/test");
    let message = message.event(&Named { name: name.clone() });
    message.key(key).build().unwrap()
}
