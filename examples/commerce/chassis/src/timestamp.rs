//! Times as text. Elsewhere a time is a number of microseconds since 1970, in UTC.

use jiff::{
    SignedDuration,
    civil::{self, DateTime},
    fmt::temporal::Pieces,
};

/// 1970 without an offset: jiff's instants end a day before 9999 does, its civil times do not.
const EPOCH: DateTime = civil::date(1970, 1, 1).at(0, 0, 0, 0);

/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z, the ends of RFC 3339.
const FIRST: i64 = -62_167_219_200_000_000;
const LAST: i64 = 253_402_300_799_999_999;

/// Writes RFC 3339 with microseconds. A time outside the years 0000 to 9999 is written as their
/// first or last moment.
#[must_use]
pub fn rfc3339(micros: i64) -> String {
    let since_epoch = SignedDuration::from_micros(micros.clamp(FIRST, LAST));
    let utc = EPOCH.saturating_add(since_epoch);
    format!("{utc:.6}Z")
}

/// Reads any RFC 3339 time; digits behind the microsecond are cut.
#[must_use]
pub fn from_rfc3339(text: &str) -> Option<i64> {
    let pieces = Pieces::parse(text).ok()?;
    let (time, offset) = (pieces.time()?, pieces.to_numeric_offset()?);
    let local = pieces.date().to_datetime(time).duration_since(EPOCH);
    let utc = local - SignedDuration::from_secs(offset.seconds().into());
    let micros = utc.as_nanos().div_euclid(1_000);
    i64::try_from(micros).ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use mainstay_messaging::envelope::micros_since_epoch;

    use super::*;

    #[test]
    fn a_time_is_written_with_microseconds_and_reads_back() {
        for (micros, text) in [
            (FIRST, "0000-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_001, "2000-02-29T00:00:00.000001Z"),
            (1_767_225_599_999_999, "2025-12-31T23:59:59.999999Z"),
            // Where jiff's instants end.
            (253_402_207_201_000_000, "9999-12-30T22:00:01.000000Z"),
            (LAST, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(rfc3339(micros), text);
            assert_eq!(from_rfc3339(text), Some(micros));
        }
    }

    #[test]
    fn a_time_beyond_the_years_of_rfc_3339_is_their_end() {
        assert_eq!(rfc3339(i64::MAX), "9999-12-31T23:59:59.999999Z");
        assert_eq!(rfc3339(i64::MIN), "0000-01-01T00:00:00.000000Z");
        // As the health of a service shows it.
        let far = Duration::from_secs(1 << 60);
        assert_eq!(micros_since_epoch(UNIX_EPOCH + far), i64::MAX);
        assert_eq!(micros_since_epoch(UNIX_EPOCH - far), i64::MIN);
    }

    #[test]
    fn any_offset_and_no_other_text_is_read() {
        for (text, micros) in [
            ("9999-12-31T23:59:59-23:59", 253_402_387_139_000_000),
            ("1970-01-01t00:00:00.0000019z", 1),
            ("1970-01-01T01:00:00+01:00", 0),
        ] {
            assert_eq!(from_rfc3339(text), Some(micros), "{text}");
        }
        for text in ["yesterday", "1970-01-01", "1970-01-01T00:00:00"] {
            assert_eq!(from_rfc3339(text), None, "{text}");
        }
    }
}
