//! Times as texts.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::Serializer;

/// RFC 3339 in UTC, to the microsecond; a time that it cannot express is empty.
pub(crate) fn text(time: SystemTime) -> String {
    let micros = mainstay_messaging::envelope::micros_since_epoch(time);
    let time = Timestamp::from_microsecond(micros);
    time.map_or_else(|_| String::new(), |time| time.to_string())
}

pub(crate) fn write<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*time))
}

#[expect(clippy::ref_option, reason = "serde asks for this signature")]
pub(crate) fn write_option<S: Serializer>(
    time: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => write(time, serializer),
        None => serializer.serialize_none(),
    }
}
