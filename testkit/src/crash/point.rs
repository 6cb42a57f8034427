//! What a point is called.

use std::{fmt, str::FromStr};

/// A point at which a process can end: at the n-th call of a port, counted from 1.
///
/// Written `before:record:3`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a point has these three parts")]
pub struct Point {
    /// When, in relation to the call.
    pub moment: Moment,
    /// Which port.
    pub port: String,
    /// Which of its calls.
    pub call: usize,
}

/// When, in relation to a call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth")]
pub enum Moment {
    /// It has not begun.
    Before,
    /// It has begun and waits for something.
    Within,
    /// It is done, and its answer is not heard.
    After,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before",
            Self::Within => "within",
            Self::After => "after",
        })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.moment, self.port, self.call)
    }
}

/// No name of a point.
#[derive(thiserror::Error, Debug)]
#[error("{0:?} is no point: it is written before:PORT:1, within:PORT:1 or after:PORT:1")]
pub struct UnreadablePoint(String);

impl FromStr for Point {
    type Err = UnreadablePoint;

    fn from_str(text: &str) -> Result<Self, UnreadablePoint> {
        let unreadable = || UnreadablePoint(text.to_owned());
        let (moment, rest) = text.split_once(':').ok_or_else(unreadable)?;
        let (port, call) = rest.split_once(':').ok_or_else(unreadable)?;
        let moment = match moment {
            "before" => Moment::Before,
            "within" => Moment::Within,
            "after" => Moment::After,
            _ => return Err(unreadable()),
        };
        match call.parse() {
            Ok(call) if call > 0 && !port.is_empty() => Ok(Self {
                moment,
                port: port.to_owned(),
                call,
            }),
            _ => Err(unreadable()),
        }
    }
}
