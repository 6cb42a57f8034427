//! How a handler fails.

use std::{error::Error, fmt};

use mainstay_database::ErrorKind;

use super::unreadable::Panicked;
use crate::error::chain;

type Source = Box<dyn Error + Send + Sync>;

/// Why a handler failed, and whether trying again may help.
///
/// `?` works on every error. The worker rolls back what the handler wrote, whatever the failure.
///
/// | the handler returns | the worker | attempt counted |
/// |---|---|---|
/// | `?` or [`retryable`](Self::retryable) on an error that heals by itself | tries the message again after a backoff, as long as it takes | no |
/// | `?` or [`retryable`](Self::retryable) on any other error | tries it again after a backoff; after [`max_attempts`](crate::Worker::max_attempts) the [`FailurePolicy`](crate::failure::FailurePolicy) decides | yes |
/// | [`permanent`](Self::permanent) | asks the failure policy at once | yes |
/// | [`unavailable`](Self::unavailable) | tries the message again after a backoff, as long as it takes | no |
///
/// An error *heals by itself* if a database error of this kind is among its sources: serialization
/// failure (40001), deadlock (40P01), lock timeout, lost connection, full disk. Database errors are
/// [`mainstay_database::Error`] and `sqlx::Error`.
///
/// Any other error is counted and not taken as permanent, a violated constraint or a damaged row
/// included: the row that a foreign key needs may come with the next message of another key. Five
/// attempts take about a second. Say `permanent` where the handler knows better:
///
/// ```
/// use mainstay_inbox::HandlerError;
///
/// fn price(cents: &str) -> Result<u32, HandlerError> {
///     let cents: u32 = cents.parse()?; // counted, and tried again
///     if cents == 0 {
///         return Err(HandlerError::permanent("an order costs something"));
///     }
///     Ok(cents)
/// }
///
/// assert!(price("12").is_ok());
/// assert!(price("twelve").is_err_and(|error| error.counts_attempt() && !error.is_permanent()));
/// assert!(price("0").is_err_and(|error| error.is_permanent()));
/// ```
///
/// It is not an [`Error`] itself, so that `?` can convert from all of them; [`error`](Self::error)
/// is.
pub struct HandlerError {
    class: Class,
    source: Source,
    at: Option<usize>,
}

/// What the worker does about a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// Nothing is wrong with the message: try again without counting.
    Interrupted,
    /// Try again, and count.
    Retryable,
    /// Hand the message to the failure policy at once.
    Permanent,
}

impl HandlerError {
    /// A failure that may heal, as `?` makes of every error: the message is tried again, up to
    /// [`max_attempts`](crate::Worker::max_attempts) times.
    ///
    /// The attempt is not counted if a database error that heals by itself is among the sources of
    /// `error`.
    #[must_use]
    pub fn retryable(error: impl Into<Source>) -> Self {
        let source = error.into();
        let class = match ErrorKind::of(&*source) {
            Some(kind) if kind.is_retryable() => Class::Interrupted,
            _ => Class::Retryable,
        };
        Self::new(class, source)
    }

    /// A failure that trying again will not heal: the message goes to the failure policy at once.
    #[must_use]
    pub fn permanent(error: impl Into<Source>) -> Self {
        Self::new(Class::Permanent, error.into())
    }

    /// Something that every message needs is away, such as a service that the handler calls. The
    /// message is tried again after a backoff, no attempt is counted, and the failure policy is
    /// not asked.
    #[must_use]
    pub fn unavailable(error: impl Into<Source>) -> Self {
        Self::new(Class::Interrupted, error.into())
    }

    /// Names the event that failed, by its index in the `Vec` that a batch handler was given.
    #[must_use]
    pub const fn at(mut self, index: usize) -> Self {
        self.at = Some(index);
        self
    }

    /// Whether trying again will not help.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.class == Class::Permanent
    }

    /// Whether the failure counts as an attempt on the message.
    #[must_use]
    pub fn counts_attempt(&self) -> bool {
        self.class != Class::Interrupted
    }

    /// Whether the handler did not return, but panicked. [`Handlers::run`](crate::Handlers::run)
    /// answers so.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.source.is::<Panicked>()
    }

    /// The error that the handler returned.
    #[must_use]
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.source
    }

    const fn new(class: Class, source: Source) -> Self {
        let at = None;
        Self { class, source, at }
    }

    pub(crate) const fn class(&self) -> Class {
        self.class
    }

    pub(crate) const fn culprit(&self) -> Option<usize> {
        self.at
    }

    pub(crate) fn into_source(self) -> Source {
        self.source
    }
}

/// As [`HandlerError::retryable`].
impl<E: Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::retryable(error)
    }
}

/// So that a test of a handler can use `?` and answer with `Box<dyn Error>`.
impl From<HandlerError> for Source {
    fn from(error: HandlerError) -> Self {
        error.source
    }
}

/// So that a test of a handler can use `?` and answer with `Box<dyn Error>`.
impl From<HandlerError> for Box<dyn Error> {
    fn from(error: HandlerError) -> Self {
        error.source
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.class {
            Class::Interrupted => "the handler was interrupted and can be tried again: ",
            Class::Retryable => "the handler failed and may be tried again: ",
            Class::Permanent => "the handler failed permanently: ",
        })?;
        f.write_str(&chain(&*self.source))
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerError")
            .field("class", &self.class)
            .field("source", &self.source)
            .field("at", &self.at)
            .finish()
    }
}
