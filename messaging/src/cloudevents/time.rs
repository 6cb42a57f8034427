//! RFC 3339 and, for what it cannot express, nanoseconds.

use std::{
    num::ParseIntError,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;

/// 0000-01-01T00:00:00Z in nanoseconds: RFC 3339 has no years before it.
const YEAR_ZERO: i128 = -62_167_219_200_000_000_000;

/// A text, or the nanoseconds since 1970 of a time that no text expresses.
pub(super) fn write(time: SystemTime) -> Result<String, i128> {
    let nanos = nanos_since_epoch(time);
    if nanos < YEAR_ZERO {
        return Err(nanos);
    }
    let timestamp = Timestamp::from_nanosecond(nanos).map_err(|_| nanos)?;
    Ok(if nanos % 1_000 == 0 {
        format!("{timestamp:.6}")
    } else {
        format!("{timestamp:.9}")
    })
}

/// Any RFC 3339 time, to the nanosecond.
pub(super) fn read(text: &str) -> Result<SystemTime, jiff::Error> {
    let timestamp: Timestamp = text.parse()?;
    Ok(timestamp.into())
}

/// Reads back nanoseconds since 1970.
pub(super) fn of_nanos(text: &str) -> Result<SystemTime, OutOfRange> {
    let nanos: i128 = text.parse()?;
    let magnitude = nanos.unsigned_abs();
    let seconds = u64::try_from(magnitude / 1_000_000_000).map_err(|_| OutOfRange::Unknowable)?;
    let rest = u32::try_from(magnitude % 1_000_000_000).map_err(|_| OutOfRange::Unknowable)?;
    let distance = Duration::new(seconds, rest);
    let time = if nanos < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    time.ok_or(OutOfRange::Unknowable)
}

/// A number that is no time of this platform.
#[derive(thiserror::Error, Debug)]
pub(super) enum OutOfRange {
    #[error("it is no whole number")]
    NoNumber(#[from] ParseIntError),
    #[error("it is beyond what this platform's clock can say")]
    Unknowable,
}

fn nanos_since_epoch(time: SystemTime) -> i128 {
    let nanos = |distance: Duration| i128::try_from(distance.as_nanos()).unwrap_or(i128::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => nanos(after),
        Err(before) => -nanos(before.duration()),
    }
}
