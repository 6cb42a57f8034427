//! Times and durations as people read them. A time is a number of microseconds since 1970.

use std::{fmt, time::UNIX_EPOCH};

use jiff::Timestamp;
use mainstay_clock::{Clock as _, SystemClock};

/// Now.
pub(crate) fn now() -> i64 {
    let since = SystemClock::new().now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

/// Reads RFC 3339.
pub(crate) fn micros(text: &str) -> Option<i64> {
    let time: Option<Timestamp> = text.parse().ok();
    time.map(Timestamp::as_microsecond)
}

/// The time of day in UTC, with milliseconds.
pub(crate) fn of_day(micros: i64) -> String {
    Timestamp::from_microsecond(micros).map_or_else(
        |_| String::new(),
        |time| time.strftime("%H:%M:%S%.3f").to_string(),
    )
}

/// An RFC 3339 time as people read it: the day, and the time to the second.
pub(crate) fn of_text(text: &str) -> String {
    text.parse::<Timestamp>().map_or_else(
        |_| text.to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// A duration in microseconds, in the unit that suits it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span(pub(crate) i64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.max(0) / 1_000;
        let seconds = millis / 1_000;
        match millis {
            0..1_000 => write!(f, "{millis} ms"),
            1_000..10_000 => write!(f, "{seconds}.{:02} s", millis % 1_000 / 10),
            10_000..120_000 => write!(f, "{seconds} s"),
            120_000..7_200_000 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            _ => write!(f, "{} h {} min", seconds / 3_600, seconds / 60 % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_said_in_the_unit_that_suits_it() {
        for (micros, text) in [
            (-1, "0 ms"),
            (8_400, "8 ms"),
            (1_241_000, "1.24 s"),
            (41_000_000, "41 s"),
            (300_000_000, "5 min 0 s"),
            (7_260_000_000, "2 h 1 min"),
        ] {
            assert_eq!(Span(micros).to_string(), text);
        }
    }

    #[test]
    fn a_time_is_read_and_said() {
        let at = micros("2026-11-29T22:33:54.719Z").unwrap();
        assert_eq!(of_day(at), "22:33:54.719");
        assert_eq!(of_text("2026-11-29T22:33:54.719Z"), "2026-11-29 22:33:54");
        assert_eq!(micros("yesterday"), None);
    }
}
