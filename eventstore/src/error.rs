//! What can go wrong, grouped by what the caller can do about it.

use mainstay_database::ErrorKind;
use mainstay_messaging::event::EncodeError;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// An operation on event streams failed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// Another transaction has appended to the stream since it was loaded (optimistic concurrency).
    /// Nothing was written to it, and the transaction can go on. Load again, and decide again.
    #[error(
        "stream {stream} is at version {actual}, and {expected} was expected; nothing was written to it, load it again and decide again"
    )]
    Conflict {
        /// Which stream: `aggregate/id`.
        stream: String,
        /// The version that was loaded.
        expected: u64,
        /// The version that the stream has.
        actual: u64,
    },
    /// An event cannot be read: it is damaged, or this build does not know its kind or version. The
    /// event itself is intact.
    #[error(
        "event {version} of stream {stream} cannot be read; run the newest build, or mend the upcaster: {source}"
    )]
    Unreadable {
        /// Which stream: `aggregate/id`.
        stream: String,
        /// Which of its events.
        version: u64,
        /// Why.
        source: Source,
    },
    /// An event cannot be written as JSON. Nothing was written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A state cannot be written as JSON. The events were appended: roll back.
    #[error("the snapshot of stream {stream} cannot be encoded; roll back: {source}")]
    Snapshot {
        /// Which stream: `aggregate/id`.
        stream: String,
        /// Why.
        source: Source,
    },
    /// No aggregate can have this id.
    #[error("invalid id {id:?} of an aggregate {aggregate}: {reason}")]
    InvalidId {
        /// The aggregate's [`STREAM`](crate::Aggregate::STREAM).
        aggregate: &'static str,
        /// The id that was given.
        id: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// What was loaded is another aggregate than the one to append to. Nothing was written: this is
    /// a mistake in the program.
    #[error("{loaded} was loaded, and the events are for {given}; append to what was loaded")]
    OtherStream {
        /// The stream that was loaded: `aggregate/id`.
        loaded: String,
        /// The stream to append to.
        given: String,
    },
    /// An aggregate is in a batch twice, and the second one does not know of the first. Nothing was
    /// written: this is a mistake in the program.
    #[error(
        "stream {stream} is in the batch twice; load it once, and append all its events together"
    )]
    Twice {
        /// Which stream: `aggregate/id`.
        stream: String,
    },
    /// A projection failed. The rebuild goes on where it is when it is run again.
    #[error(
        "projection {projection:?} failed on the events after {after}; run the rebuild again once it is mended: {source}"
    )]
    Projection {
        /// Which projection.
        projection: &'static str,
        /// The last event that the projection has: `aggregate/id@version`.
        after: String,
        /// What the projection said.
        source: Source,
    },
    /// A newer build has begun to rebuild the projection.
    #[error(
        "projection {projection:?} has shape {found}, this build knows only {known}: run a newer build"
    )]
    NewerProjection {
        /// Which projection.
        projection: &'static str,
        /// The shape in the database.
        found: u32,
        /// The shape in this build.
        known: u32,
    },
    /// The database refused or did not answer; [`mainstay_database::Error`] says whether that heals
    /// by itself. Roll back.
    #[error("the database operation on event streams failed: {0}")]
    Database(#[from] mainstay_database::Error),
}

impl Error {
    /// Whether loading and deciding again, in a new transaction, may succeed without anyone's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Conflict { .. } => true,
            Self::Database(error) => error.is_retryable(),
            Self::Projection { source, .. } => {
                ErrorKind::of(&**source).is_some_and(ErrorKind::is_retryable)
            }
            Self::Unreadable { .. }
            | Self::Encode(_)
            | Self::Snapshot { .. }
            | Self::InvalidId { .. }
            | Self::OtherStream { .. }
            | Self::Twice { .. }
            | Self::NewerProjection { .. } => false,
        }
    }
}
