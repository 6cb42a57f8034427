//! What a worker is doing, for health endpoints and operators.

use std::{fmt::Display, sync::Arc, time::SystemTime};

use mainstay_messaging::{Key, Partition, Position};
use serde::{Serialize, Serializer};

use crate::failure::FailureKind;

/// A worker at one moment. Serialises with positions as `topic/partition/offset` and times in RFC
/// 3339.
#[derive(Clone, Default, Debug, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Whether it runs.
    pub running: bool,
    /// The partitions assigned to it.
    pub partitions: Vec<PartitionStatus>,
    /// Keys that wait because their first message cannot be handled.
    pub blocked_keys: Vec<BlockedKey>,
    /// Why it makes no progress, while the database or the broker does not answer.
    pub last_error: Option<Arc<str>>,
}

impl Status {
    /// Whether it runs, no key is blocked and nothing else keeps it from making progress.
    #[must_use]
    pub const fn is_healthy(&self) -> bool {
        self.running && self.blocked_keys.is_empty() && self.last_error.is_none()
    }
}

/// One partition that is assigned to a worker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct PartitionStatus {
    /// The partition.
    #[serde(serialize_with = "as_text")]
    pub partition: Partition,
    /// Every record below this offset is finished.
    pub finished_below: i64,
    /// The offset behind the newest record that was read.
    pub received_below: i64,
    /// Records in the in-flight window: from the lowest unfinished one to the newest one, finished
    /// or not.
    pub in_flight: usize,
    /// Whether it is paused because the in-flight window is full.
    pub paused: bool,
}

/// A key whose messages wait.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct BlockedKey {
    /// The message that cannot be handled.
    #[serde(serialize_with = "as_text")]
    pub position: Position,
    /// Its key; `None` if it has none, or one that is not UTF-8.
    #[serde(serialize_with = "as_optional_text")]
    pub key: Option<Key>,
    /// Since when the key is blocked.
    #[serde(serialize_with = "as_rfc3339")]
    pub since: SystemTime,
    /// What kind of failure it was.
    #[serde(serialize_with = "as_text")]
    pub kind: FailureKind,
    /// How many attempts of the handler have failed.
    pub attempts: u32,
    /// The error and its sources in one line.
    pub error: Arc<str>,
    /// How many messages of the key wait behind it in this worker.
    pub waiting: usize,
}

fn as_text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn as_optional_text<S: Serializer>(
    value: &Option<impl Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

fn as_rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    // A clock that is far off must not make the status unreadable.
    let nearest = if *time < SystemTime::UNIX_EPOCH {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    };
    serializer.collect_str(&jiff::Timestamp::try_from(*time).unwrap_or(nearest))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mainstay_messaging::Topic;

    use super::*;

    #[test]
    fn a_time_beyond_the_calendar_leaves_the_status_readable() {
        #[derive(Serialize)]
        struct At(#[serde(serialize_with = "as_rfc3339")] SystemTime);
        let far = Duration::from_secs(1 << 40);
        for (time, text) in [
            (
                SystemTime::UNIX_EPOCH + far,
                "\"9999-12-30T22:00:00.999999999Z\"",
            ),
            (SystemTime::UNIX_EPOCH - far, "\"-009999-01-02T01:59:59Z\""),
        ] {
            assert_eq!(serde_json::to_string(&At(time)).unwrap(), text);
        }
    }

    #[test]
    fn a_status_serializes_to_plain_json() {
        let partition = Partition {
            topic: Topic::from_static("orders"),
            number: 2,
        };
        let status = Status {
            running: true,
            partitions: vec![PartitionStatus {
                partition: partition.clone(),
                finished_below: 4,
                received_below: 9,
                in_flight: 5,
                paused: false,
            }],
            blocked_keys: vec![BlockedKey {
                position: Position {
                    partition,
                    offset: 4,
                },
                key: Some(Key::from_static("ada")),
                since: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
                kind: FailureKind::DeadlineExceeded,
                attempts: 5,
                error: "too slow".into(),
                waiting: 3,
            }],
            last_error: None,
        };
        let expected = serde_json::json!({
            "running": true,
            "partitions": [{
                "partition": "orders/2", "finished_below": 4, "received_below": 9, "in_flight": 5, "paused": false,
            }],
            "blocked_keys": [{
                "position": "orders/2/4", "key": "ada", "since": "1970-01-01T00:00:01.5Z",
                "kind": "deadline_exceeded", "attempts": 5, "error": "too slow", "waiting": 3,
            }],
            "last_error": null,
        });
        assert_eq!(serde_json::to_value(&status).unwrap(), expected);
    }
}
