//! RFC 3339 and, for what it cannot express, nanoseconds.

use std::{
    borrow::Cow,
    num::ParseIntError,
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use jiff::{
    SignedDuration,
    civil::{self, DateTime},
    fmt::temporal::Pieces,
};

/// The years of RFC 3339.
const YEARS: RangeInclusive<i16> = 0..=9999;

/// 1970 without an offset: jiff's instants end a day before 9999 does, its civil times do not.
const EPOCH: DateTime = civil::date(1970, 1, 1).at(0, 0, 0, 0);

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// A text, or the nanoseconds since 1970 of a time that no text expresses.
pub(super) fn write(time: SystemTime) -> Result<String, i128> {
    let nanos = nanos_since_epoch(time);
    let utc = utc(nanos).ok_or(nanos)?;
    Ok(if nanos % 1_000 == 0 {
        format!("{utc:.6}Z")
    } else {
        format!("{utc:.9}Z")
    })
}

/// Any RFC 3339 time, cut to the nanosecond. A leap second `:60` is read as `:59`.
pub(super) fn read(text: &str) -> Result<SystemTime, Unreadable> {
    let text = cut_to_nanos(text);
    let pieces = Pieces::parse(&*text)?;
    let (Some(time), Some(offset)) = (pieces.time(), pieces.to_numeric_offset()) else {
        return Err(Unreadable::NoInstant);
    };
    let date = pieces.date();
    if !YEARS.contains(&date.year()) {
        return Err(Unreadable::Year(date.year()));
    }
    let local = date.to_datetime(time).duration_since(EPOCH);
    let nanos = local.as_nanos() - i128::from(offset.seconds()) * NANOS_PER_SECOND;
    at(nanos).ok_or(Unreadable::BeyondThePlatform)
}

/// Reads back nanoseconds since 1970.
pub(super) fn of_nanos(text: &str) -> Result<SystemTime, Unreadable> {
    at(text.parse()?).ok_or(Unreadable::BeyondThePlatform)
}

/// A text or a number that is no time.
#[derive(thiserror::Error, Debug)]
pub(super) enum Unreadable {
    #[error("it is no RFC 3339 time")]
    NotRfc3339(#[from] jiff::Error),
    #[error("it lacks a time of day or an offset, which RFC 3339 requires")]
    NoInstant,
    #[error("it is in the year {0}, and RFC 3339 has the years 0000 to 9999")]
    Year(i16),
    #[error("it is no whole number")]
    NotANumber(#[from] ParseIntError),
    #[error(
        "it is beyond the times of this platform, which on Unix reach 292 billion years from 1970"
    )]
    BeyondThePlatform,
}

/// RFC 3339 allows any number of digits behind the seconds, the parser nine.
fn cut_to_nanos(text: &str) -> Cow<'_, str> {
    let Some((before, fraction)) = text.split_once('.') else {
        return text.into();
    };
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    if digits <= 9 {
        return text.into();
    }
    format!("{before}.{}{}", &fraction[..9], &fraction[digits..]).into()
}

/// The civil time in UTC, if it is in the years of RFC 3339.
fn utc(nanos: i128) -> Option<DateTime> {
    let seconds = i64::try_from(nanos.div_euclid(NANOS_PER_SECOND)).ok()?;
    let rest = i32::try_from(nanos.rem_euclid(NANOS_PER_SECOND)).ok()?;
    let utc = EPOCH.checked_add(SignedDuration::new(seconds, rest)).ok()?;
    YEARS.contains(&utc.year()).then_some(utc)
}

fn at(nanos: i128) -> Option<SystemTime> {
    let magnitude = nanos.unsigned_abs();
    let seconds = u64::try_from(magnitude / NANOS_PER_SECOND.unsigned_abs()).ok()?;
    let rest = u32::try_from(magnitude % NANOS_PER_SECOND.unsigned_abs()).ok()?;
    let distance = Duration::new(seconds, rest);
    if nanos < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

fn nanos_since_epoch(time: SystemTime) -> i128 {
    let nanos = |distance: Duration| i128::try_from(distance.as_nanos()).unwrap_or(i128::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => nanos(after),
        Err(before) => -nanos(before.duration()),
    }
}
