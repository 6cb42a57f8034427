//! An answer as it is kept and given again.

#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
pub(crate) mod headers;

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// The answer to a request: status, headers and body, as HTTP has them.
///
/// Header values are bytes, and one name may have several values, in order. An operation without
/// HTTP uses [`json`](Self::json) with any status.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, Bytes)>,
    body: Option<Bytes>,
}

impl Answer {
    /// An answer with this body, without headers.
    #[must_use]
    pub fn new(status: impl Into<u16>, body: impl Into<Bytes>) -> Self {
        Self {
            status: status.into(),
            headers: Vec::new(),
            body: Some(body.into()),
        }
    }

    /// An answer with `value` as JSON, and its content type.
    ///
    /// # Errors
    /// What serde says of the value.
    pub fn json<T: Serialize + ?Sized>(
        status: impl Into<u16>,
        value: &T,
    ) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_vec(value)?;
        Ok(Self::new(status, body).header("content-type", "application/json"))
    }

    /// Adds a header. Another one of the same name stays.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        let value = Bytes::copy_from_slice(value.as_ref());
        self.headers.push((name.into(), value));
        self
    }

    /// The tombstone of this answer: the request was processed, and its body was too large to keep.
    #[must_use]
    pub fn without_body(mut self) -> Self {
        self.body = None;
        self
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The headers, in the order they were added.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let headers = self.headers.iter();
        headers.map(|(name, value)| (&**name, &**value))
    }

    /// The body; `None` in a tombstone.
    #[must_use]
    pub const fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }

    /// The body, read as JSON; `None` in a tombstone.
    ///
    /// # Errors
    /// What serde says of the body.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        let body = self.body.as_deref();
        body.map(serde_json::from_slice).transpose()
    }
}

/// Without contents, which may be personal.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("headers", &self.headers.len())
            .field("body", &self.body.as_ref().map(Bytes::len))
            .finish()
    }
}
