//! Answers as columns and fields hold them.

use crate::{Error, KeyedRequest, Settled, answer::headers};

/// The columns of a record, as they stand in the driver's row.
pub(crate) struct StoredAnswer<'a> {
    pub(crate) fingerprint: &'a [u8],
    pub(crate) status: u16,
    pub(crate) headers: &'a str,
    pub(crate) body: Option<Vec<u8>>,
}

impl StoredAnswer<'_> {
    /// How to answer a request whose key has this record.
    pub(crate) fn settle(self, request: &KeyedRequest) -> Result<Settled, Error> {
        if self.fingerprint != request.fingerprint.as_bytes() {
            return Ok(Settled::Mismatch);
        }
        match headers::decode(self.status, self.headers, self.body) {
            Ok(answer) => Ok(Settled::Done(answer)),
            Err(source) => Err(Error::Unreadable {
                key: request.key.clone(),
                source: source.into(),
            }),
        }
    }
}
