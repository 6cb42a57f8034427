//! Times: every one of RFC 3339, both ways.

use super::*;

const DAYS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Days from year 0 on, counted one by one: slow, and not the code under test.
fn days_before(year: u64, month: usize, day: u64) -> u64 {
    let years: u64 = (0..year).map(|year| 365 + u64::from(is_leap(year))).sum();
    let months: u64 = DAYS[..month - 1].iter().sum();
    let leap_day = u64::from(month > 2 && is_leap(year));
    years + months + leap_day + day - 1
}

/// Nanoseconds since 1970 of a time in UTC.
fn nanos(year: u64, (month, day): (usize, u64), seconds: u64, nanos: u64) -> i128 {
    let days = i128::from(days_before(year, month, day)) - i128::from(days_before(1970, 1, 1));
    (days * 86_400 + i128::from(seconds)) * 1_000_000_000 + i128::from(nanos)
}

fn at(nanos: i128) -> SystemTime {
    let distance = Duration::from_nanos_u128(nanos.unsigned_abs());
    if nanos < 0 {
        SystemTime::UNIX_EPOCH - distance
    } else {
        SystemTime::UNIX_EPOCH + distance
    }
}

fn read_time(text: &str) -> Result<SystemTime, CloudEventError> {
    read_back(&with("ce_time", text.to_owned())).map(|message| message.occurred_at.unwrap())
}

fn date() -> impl Strategy<Value = (u64, usize, u64)> {
    let year = prop_oneof![0..10_000_u64, Just(0), Just(9_999), Just(1970)];
    (year, 1..13_usize).prop_flat_map(|(year, month)| {
        let leap_day = u64::from(month == 2 && is_leap(year));
        (Just(year), Just(month), 1..=DAYS[month - 1] + leap_day)
    })
}

proptest! {
    #[test]
    fn every_rfc_3339_time_reads_as_its_instant(
        (year, month, day) in date(),
        (hour, minute, second) in (0..24_u64, 0..60_u64, 0..=60_u64),
        fraction in "(\\.[0-9]{1,15})?",
        separator in "[Tt]",
        offset in prop_oneof![
            Just(None),
            (any::<bool>(), 0..24_i128, 0..60_i128).prop_map(Some),
        ],
        zulu in "[Zz]",
    ) {
        let shift = offset.map_or(0, |(east, hours, minutes)| {
            (hours * 60 + minutes) * 60_000_000_000 * if east { 1 } else { -1 }
        });
        let zone = offset.map_or(zulu, |(east, hours, minutes)| {
            format!("{}{hours:02}:{minutes:02}", if east { '+' } else { '-' })
        });
        let text = format!(
            "{year:04}-{month:02}-{day:02}{separator}{hour:02}:{minute:02}:{second:02}{fraction}{zone}"
        );
        let digits = format!("{:0<9}", fraction.trim_start_matches('.'));
        let seconds = (hour * 60 + minute) * 60 + second.min(59); // a leap second is :59
        let expected = nanos(year, (month, day), seconds, digits[..9].parse().unwrap()) - shift;
        prop_assert_eq!(read_time(&text).unwrap(), at(expected), "{}", text);
    }

    #[test]
    fn every_instant_of_the_years_of_rfc_3339_is_written_and_reads_back(
        (year, month, day) in date(), seconds in 0..86_400_u64, rest in 0..1_000_000_000_u64,
        whole_micros in any::<bool>(),
    ) {
        let rest = if whole_micros { rest / 1_000 * 1_000 } else { rest };
        let time = at(nanos(year, (month, day), seconds, rest));
        let mut message = bare();
        message.occurred_at = Some(time);
        let headers = write(&message);
        let text = str::from_utf8(headers.get("ce_time").unwrap()).unwrap();
        prop_assert!(text.starts_with(&format!("{year:04}-{month:02}-{day:02}T")), "{}", text);
        prop_assert_eq!(read_back(&headers).unwrap(), message);
    }
}

#[test]
fn the_last_and_the_first_second_of_rfc_3339_pass_both_ways() {
    for text in ["9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z"] {
        let headers = with("ce_time", text);
        let written = write(&read_back(&headers).unwrap());
        let seconds = text.trim_end_matches('Z');
        assert_eq!(
            written.get("ce_time").unwrap(),
            format!("{seconds}.000000Z").as_bytes()
        );
    }
}

/// UTC has had 27 leap seconds; `SystemTime` has none. The last one is no time of the next day.
#[test]
fn a_leap_second_is_read_as_the_second_before_it() {
    for (leap, same) in [
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ("2016-12-31T23:59:60.25Z", "2016-12-31T23:59:59.25Z"),
        ("2017-01-01T00:59:60+01:00", "2016-12-31T23:59:59Z"),
        ("9999-12-31T23:59:60Z", "9999-12-31T23:59:59Z"),
    ] {
        assert_eq!(read_time(leap).unwrap(), read_time(same).unwrap(), "{leap}");
    }
}

/// An offset may move a time of year 0 or 9999 out of these years: the instant stays.
#[test]
fn an_offset_at_the_edge_of_rfc_3339_keeps_the_instant() {
    let last = nanos(9_999, (12, 31), 86_399, 0);
    let first = nanos(0, (1, 1), 0, 0);
    for (text, expected) in [
        ("9999-12-31T23:59:59-23:59", last + 86_340 * 1_000_000_000),
        ("0000-01-01T00:00:00+23:59", first - 86_340 * 1_000_000_000),
    ] {
        let message = read_back(&with("ce_time", text)).unwrap();
        assert_eq!(message.occurred_at, Some(at(expected)), "{text}");
        assert_eq!(read_back(&write(&message)).unwrap(), message, "{text}");
    }
}

#[test]
fn a_time_beyond_rfc_3339_travels_as_nanoseconds() {
    let mut message = bare();
    for micros in [
        i64::MIN / 2,
        -62_167_219_200_000_001,
        253_402_300_800_000_000,
        i64::MAX / 2,
    ] {
        message.occurred_at = Some(crate::envelope::time_of(micros));
        let headers = write(&message);
        assert!(headers.get("ce_time").is_none());
        assert_eq!(read_back(&headers).unwrap(), message);
    }
    message.occurred_at = Some(crate::envelope::time_of(-62_167_219_200_000_000));
    assert_eq!(
        write(&message).get("ce_time").unwrap(),
        "0000-01-01T00:00:00.000000Z"
    );
}

#[test]
fn what_is_no_rfc_3339_time_is_refused_by_a_reason() {
    for (name, text, reason) in [
        ("ce_time", "yesterday", "no RFC 3339 time"),
        ("ce_time", "2023-02-29T00:00:00Z", "no RFC 3339 time"),
        ("ce_time", "10000-01-01T00:00:00Z", "no RFC 3339 time"),
        ("ce_time", "2023-11-14", "lacks a time of day or an offset"),
        (
            "ce_time",
            "2023-11-14T22:13:20",
            "lacks a time of day or an offset",
        ),
        ("ce_time", "-000001-12-31T23:59:59Z", "years 0000 to 9999"),
        ("ce_epochnanos", "soon", "no whole number"),
        (
            "ce_epochnanos",
            "99999999999999999999999999999999",
            "292 billion years",
        ),
    ] {
        let error = read_back(&with(name, text)).unwrap_err();
        let CloudEventError::Malformed { attribute, source } = &error else {
            panic!("{text}: {error}");
        };
        assert_eq!(*attribute, name);
        assert!(source.to_string().contains(reason), "{text}: {source}");
    }
}
