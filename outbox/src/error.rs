//! What can go wrong, by what the caller can do about it.

/// An outbox operation failed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database failed; see [`mainstay_database::Error`] for what to do.
    #[error(transparent)]
    Database(#[from] mainstay_database::Error),
    /// The message is larger than the broker takes. Nothing was written; the transaction is still usable.
    #[error("message of {size} bytes is larger than the configured limit of {limit} bytes")]
    TooLarge {
        /// Size of the message in bytes.
        size: usize,
        /// The configured limit in bytes.
        limit: usize,
    },
    /// Another relay has taken over at least one of the shards: what was sent may be sent again by it.
    #[error("another relay has taken over: the fence has risen")]
    Fenced,
    /// The schema was laid out with other settings; configure the same ones.
    #[error(
        "the outbox is laid out with {stored} shards by {stored_hash}, this process is configured for {configured} by {configured_hash}"
    )]
    OtherLayout {
        /// Shards in the schema.
        stored: u16,
        /// Name of the hash in the schema.
        stored_hash: String,
        /// Shards this process was configured with.
        configured: u16,
        /// Name of this build's hash.
        configured_hash: &'static str,
    },
}

impl Error {
    /// Whether the same call, in a new transaction, may succeed later without anybody's doing.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Fenced => true,
            _ => false,
        }
    }
}
