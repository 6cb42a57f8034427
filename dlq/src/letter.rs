//! A message in the queue, without its body.

use std::{fmt, str::FromStr, time::SystemTime};

use mainstay_messaging::{Delivery, Group, Position, Topic, broker::Content};
use serde::{Deserialize, Serialize, Serializer};

/// The number of a message in the queue. Numbers rise, and within a key they are in its order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
#[expect(clippy::exhaustive_structs, reason = "it is a number")]
pub struct DeadLetterId(pub i64);

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What became of a message in the queue.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these four")]
pub enum State {
    /// It could not be handled, and its key is blocked.
    Dead,
    /// It is held behind a dead letter of its key.
    Held,
    /// Its effect was made by a replay.
    Replayed,
    /// An operator discarded it. It can be restored until its retention ends.
    Discarded,
}

impl State {
    /// Whether its effect is still to be made.
    #[must_use]
    pub const fn is_kept(self) -> bool {
        matches!(self, Self::Dead | Self::Held)
    }

    /// A stable name for tables: `dead`, `held`, `replayed`, `discarded`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Held => "held",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(name: &str) -> Result<Self, UnknownState> {
        let all = [Self::Dead, Self::Held, Self::Replayed, Self::Discarded];
        let known = all.into_iter().find(|state| state.name() == name);
        known.ok_or_else(|| UnknownState(name.to_owned()))
    }
}

/// A name that is not a [`State`]'s.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("{0:?} is no state of a dead letter; use dead, held, replayed or discarded")]
pub struct UnknownState(String);

/// A message in the queue, without its body.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its number.
    pub id: DeadLetterId,
    /// The consumer group that could not handle it.
    #[serde(serialize_with = "as_text")]
    pub consumer: Group,
    /// Where the worker read it.
    #[serde(serialize_with = "as_text")]
    pub position: Position,
    /// Who made the message; empty for a record that is not a message.
    pub source: String,
    /// The message's id within its source, or the position of a record that is not a message.
    pub message_id: String,
    /// Its key as [`BlockedKey`] names it; `None` if it has none.
    pub key: Option<String>,
    /// The kind of event; `None` for a record that is not a message.
    pub kind: Option<String>,
    /// What became of it.
    pub state: State,
    /// The name of the [`FailureKind`](mainstay_inbox::failure::FailureKind); `None` while it was
    /// only held.
    pub failure: Option<String>,
    /// How many attempts of handlers have failed, replays included.
    pub attempts: u32,
    /// How many delayed retries were planned.
    pub retries: u32,
    /// The last error and its sources in one line.
    pub error: Option<String>,
    /// The fingerprint of its failure: what its [group](crate::desk::FailureGroup) has in common.
    pub fingerprint: Option<String>,
    /// Since when it is in the queue.
    #[serde(serialize_with = "as_rfc3339")]
    pub kept_at: SystemTime,
    /// When it failed last.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub failed_at: Option<SystemTime>,
    /// When the replayer tries it; `None`: not before an operator says so.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub due_at: Option<SystemTime>,
    /// When it was replayed or discarded.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub resolved_at: Option<SystemTime>,
    /// How often it was edited.
    pub revision: u32,
    /// The job that asked for its replay last.
    pub job: Option<i64>,
}

impl DeadLetter {
    /// The key that it blocks or waits in.
    #[must_use]
    pub fn blocked_key(&self) -> Option<BlockedKey> {
        Some(BlockedKey {
            consumer: self.consumer.clone(),
            topic: self.position.partition.topic.clone(),
            key: self.key.clone()?,
        })
    }
}

/// A key of one topic whose messages wait, for one consumer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(clippy::exhaustive_structs, reason = "it is a name of three parts")]
pub struct BlockedKey {
    /// The consumer group.
    pub consumer: Group,
    /// The topic.
    pub topic: Topic,
    /// The key as text. A key that is not plain text of up to 512 bytes is `hex:` and its bytes,
    /// shortened and with a checksum if it is longer.
    pub key: String,
}

impl BlockedKey {
    /// The key of `delivery`; `None` if it has none.
    #[must_use]
    pub fn of(consumer: &Group, delivery: &Delivery) -> Option<Self> {
        let key = match &delivery.content {
            Content::Message(message) => name_of(message.key.as_ref()?.as_str().as_bytes()),
            Content::Raw(raw) => name_of(raw.key.as_deref()?),
        };
        Some(Self {
            consumer: consumer.clone(),
            topic: delivery.position.partition.topic.clone(),
            key,
        })
    }
}

impl fmt::Display for BlockedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} of {}", self.topic, self.key, self.consumer)
    }
}

/// Longest key that a table's index takes whole.
const LONGEST: usize = 512;
const HEX: &str = "hex:";

/// A text that stands for the bytes of a key. Two keys never share one, unless both are long: those
/// that share one wait for each other, which is safe.
fn name_of(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text)
            if key.len() <= LONGEST
                && !text.starts_with(HEX)
                && !text.chars().any(char::is_control) =>
        {
            text.to_owned()
        }
        _ if key.len() <= LONGEST / 2 => format!("{HEX}{}", hex::encode(key)),
        _ => {
            let head = key.get(..LONGEST / 4).unwrap_or_default();
            format!("{HEX}{}-{:016x}", hex::encode(head), checksum(key))
        }
    }
}

/// FNV-1a.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

pub(crate) fn as_text<S: Serializer>(
    value: &impl fmt::Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(crate) fn as_rfc3339<S: Serializer>(
    time: &SystemTime,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match jiff::Timestamp::try_from(*time) {
        Ok(time) => serializer.collect_str(&time),
        Err(error) => Err(serde::ser::Error::custom(error)),
    }
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(crate) fn as_optional_rfc3339<S: Serializer>(
    time: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => as_rfc3339(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_names_of_their_own_that_an_index_takes() {
        let long = [b'x'; 600];
        let keys: [&[u8]; 7] = [
            b"ada",
            b"hex:616461",
            b"\xff",
            b"a\0",
            b"",
            &long,
            &[0xff; 5_000],
        ];
        let names = keys.map(name_of);
        assert_eq!(names[0], "ada");
        assert_eq!(names[2], "hex:ff");
        for (at, name) in names.iter().enumerate() {
            assert!(name.len() <= 2 * LONGEST && !name.contains('\0'), "{name}");
            assert!(names.iter().skip(at + 1).all(|other| other != name));
        }
    }
}
