//! A message together with how it is to be delivered.

use std::{fmt, sync::Arc, time::Duration};

use mainstay_messaging::{InvalidName, Key, Message};

/// A message and how it is to be delivered.
///
/// ```
/// use mainstay_outbox::{DeduplicationKey, Entry, messaging::Message};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let reminder = Message::builder().topic("reminders").kind("Remind").source("/orders").build()?;
/// let key = DeduplicationKey::new("reminder:order-17")?;
/// let entry = Entry::new(&reminder)
///     .deliver_after(Duration::from_secs(3600))
///     .deduplicate(&key);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    message: &'a Message,
    delay: Option<Duration>,
    deduplication_key: Option<&'a DeduplicationKey>,
}

impl<'a> Entry<'a> {
    /// Delivers `message` as soon as its transaction is committed.
    #[must_use]
    pub const fn new(message: &'a Message) -> Self {
        Self {
            message,
            delay: None,
            deduplication_key: None,
        }
    }

    /// Delivers it no earlier than `delay` from now, by the database's clock (on SQLite, the host's).
    ///
    /// A delayed message leaves the order of its key: other messages do not wait for it. If its key
    /// is blocked when it is due, it is held behind the messages of that key.
    #[must_use]
    pub const fn deliver_after(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Enqueues nothing if `deduplication_key` was used before. A repeated key does not abort the
    /// transaction.
    #[must_use]
    pub const fn deduplicate(mut self, deduplication_key: &'a DeduplicationKey) -> Self {
        self.deduplication_key = Some(deduplication_key);
        self
    }

    /// The message.
    #[must_use]
    pub const fn message(&self) -> &'a Message {
        self.message
    }

    /// The delay of its delivery.
    #[must_use]
    pub const fn delay(&self) -> Option<Duration> {
        self.delay
    }

    /// The deduplication key.
    #[must_use]
    pub const fn deduplication_key(&self) -> Option<&'a DeduplicationKey> {
        self.deduplication_key
    }
}

impl<'a> From<&'a Message> for Entry<'a> {
    fn from(message: &'a Message) -> Self {
        Self::new(message)
    }
}

/// Optional unique key of a message: enqueueing under the same key again enqueues nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeduplicationKey(Key);

impl DeduplicationKey {
    /// Wraps a text of the caller's choice, such as `saga:step:attempt`.
    ///
    /// # Errors
    /// [`InvalidName`] unless it is 1 to 255 bytes without control characters, which every store can
    /// index.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, InvalidName> {
        let checked = Key::new(text).map_err(|mut invalid| {
            invalid.what = "deduplication key";
            invalid
        });
        checked.map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for DeduplicationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// The result of enqueueing one entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a duplicate was not enqueued"]
#[expect(clippy::exhaustive_enums, reason = "it is new or it is not")]
pub enum Enqueued {
    /// It will be published if the transaction commits.
    Added,
    /// Its deduplication key was used before: nothing was written.
    Duplicate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deduplication_key_is_a_text_that_every_index_can_hold() {
        assert_eq!(
            DeduplicationKey::new("saga:step:1").unwrap().as_str(),
            "saga:step:1"
        );
        for text in ["", "a\0b", &*"x".repeat(256)] {
            let refused = DeduplicationKey::new(text).unwrap_err();
            assert_eq!(refused.what, "deduplication key");
        }
    }
}
