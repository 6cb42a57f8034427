//! Names of streams.

use std::fmt;

use crate::{Aggregate, Error};

/// Ends the aggregate's part of a name.
const SEPARATOR: char = '/';

/// Follows the separator in byte order.
const NEXT: char = '0';

/// The name of a stream: the aggregate's [`STREAM`](Aggregate::STREAM) and an id, as in `order/17`.
///
/// An id has 1 to 255 bytes and no control character.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName {
    text: Box<str>,
    /// Bytes before the id.
    prefix: usize,
}

impl StreamName {
    /// The stream of the aggregate `A` with this id.
    ///
    /// # Errors
    /// [`Error::InvalidId`].
    pub fn of<A: Aggregate>(id: &str) -> Result<Self, Error> {
        let prefix = prefix_of::<A>();
        let reason = match id {
            "" => "it is empty",
            _ if id.len() > 255 => "it is longer than 255 bytes",
            _ if id.contains(char::is_control) => "it has a control character",
            _ => {
                return Ok(Self {
                    prefix: prefix.len(),
                    text: (prefix + id).into(),
                });
            }
        };
        Err(Error::InvalidId {
            aggregate: A::STREAM,
            id: id.to_owned(),
            reason,
        })
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The aggregate's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.text.get(self.prefix..).unwrap_or_default()
    }
}

/// What the names of all streams of an aggregate begin with.
pub(crate) fn prefix_of<A: Aggregate>() -> String {
    let () = const { check(A::STREAM) };
    format!("{}{SEPARATOR}", A::STREAM)
}

/// Above all names that begin with `prefix`, and below all others that are above it.
pub(crate) fn successor(prefix: &str) -> String {
    let aggregate = prefix.strip_suffix(SEPARATOR).unwrap_or(prefix);
    format!("{aggregate}{NEXT}")
}

/// Evaluated at compile time.
const fn check(stream: &str) {
    let bytes = stream.as_bytes();
    assert!(
        !bytes.is_empty() && bytes.len() <= 64,
        "STREAM has 1 to 64 bytes"
    );
    let mut at = 0;
    while at < bytes.len() {
        assert!(
            bytes[at] != SEPARATOR as u8 && bytes[at] > b' ' && bytes[at] != 0x7f,
            "STREAM has no slash, space or control character"
        );
        at += 1;
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}
