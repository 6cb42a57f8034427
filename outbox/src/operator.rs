//! What operators see of the messages that wait in the deferred table, and what they do about them.
//!
//! The broker has refused the *head* of each blocked key for good, for example because it is too
//! large; the others of its key are held behind it. An operator lists the heads, tries one again
//! once the broker takes it, or discards it: then its key goes on.
//!
//! ```
//! use mainstay_outbox::{Error, operator::{Operator, Signature, Which}};
//!
//! async fn skip_what_is_too_large(outbox: &impl Operator) -> Result<(), Error> {
//!     let by = Signature::new("ada", "no broker takes 40 MB; sent by hand");
//!     for head in outbox.deferred(&Which::Heads, None, 100).await? {
//!         if head.size > 1_000_000 {
//!             outbox.discard(head.position, &by).await?;
//!         }
//!     }
//!     Ok(())
//! }
//! ```

use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;

use crate::{Error, store::Content};

/// Rows that one list returns at most.
pub const LONGEST: u32 = 1_000;

/// Messages held behind a head are counted up to this number.
pub const MOST_HELD: u32 = 1_000;

/// Which rows of the deferred table are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a store must know each of them")]
pub enum Which {
    /// The first one of each blocked key: what the broker refused.
    Heads,
    /// All of a blocked key, in its order.
    Key {
        /// The topic.
        topic: String,
        /// The key.
        key: String,
    },
    /// All, delayed messages included.
    All,
}

/// A row of the deferred table, without its payload.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores of others construct it")]
pub struct Deferred {
    /// Its position, which names it until it is published, discarded, or held behind another one.
    pub position: i64,
    /// The topic.
    pub topic: String,
    /// The key.
    pub key: Option<String>,
    /// The message's id; `None`: the envelope cannot be read.
    pub message_id: Option<String>,
    /// The kind of event; `None`: the envelope cannot be read.
    pub kind: Option<String>,
    /// Bytes of envelope and payload.
    pub size: u64,
    /// Whether its key is blocked; otherwise it is delayed.
    pub blocked: bool,
    /// Whether it is the first one of its blocked key, or a refused one without a key.
    pub head: bool,
    /// How many messages are held behind a head, counted up to [`MOST_HELD`].
    pub held: u64,
    /// When it is delivered or tried again.
    pub due_at: SystemTime,
    /// How often the broker refused it.
    pub attempts: u32,
    /// Why the broker refused it last.
    pub refusal: Option<String>,
}

/// Who acts, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Signature {
    /// Who.
    pub operator: String,
    /// Why.
    pub reason: String,
}

impl Signature {
    /// `operator` acts for `reason`.
    #[must_use]
    pub fn new(operator: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            operator: operator.into(),
            reason: reason.into(),
        }
    }

    /// Checks that both are there; for stores.
    ///
    /// # Errors
    /// [`Error::Unsigned`].
    pub fn check(&self) -> Result<(), Error> {
        let is_missing = |text: &str| text.trim().is_empty() || text.contains('\0');
        if is_missing(&self.operator) {
            return Err(Error::Unsigned("a name"));
        }
        if is_missing(&self.reason) {
            return Err(Error::Unsigned("a reason"));
        }
        Ok(())
    }
}

/// What an operator did.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores of others construct it")]
pub struct Act {
    /// Its number; numbers rise.
    pub id: i64,
    /// When.
    pub at: SystemTime,
    /// Who.
    pub operator: String,
    /// Why.
    pub reason: String,
    /// What: `retry` or `discard`.
    pub act: String,
    /// The topic of the message.
    pub topic: String,
    /// Its key.
    pub key: Option<String>,
    /// Its id; `None`: its envelope could not be read.
    pub message_id: Option<String>,
    /// Why the broker had refused it.
    pub refusal: Option<String>,
}

/// The operator's role over an outbox. Each act is one transaction, which records who did it and why.
#[async_trait]
pub trait Operator: Send + Sync + 'static {
    /// Rows of the deferred table in their order, those after the position `after`, at most
    /// `limit`, up to [`LONGEST`].
    ///
    /// # Errors
    /// [`Error::Database`].
    async fn deferred(
        &self,
        which: &Which,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Deferred>, Error>;

    /// Makes a row due now: the head of a blocked key is tried again, and a delayed message is
    /// delivered.
    ///
    /// # Errors
    /// [`Error::NotDeferred`]; [`Error::HeldBehind`] unless it is the first one of its key;
    /// [`Error::Unsigned`]; [`Error::Database`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the act was done; doing it again is safe.
    async fn retry_now(&self, position: i64, by: &Signature) -> Result<(), Error>;

    /// Removes a message that is not to be published. It is kept with the act, see
    /// [`discarded`](Self::discarded).
    ///
    /// # Behaviour
    /// - If it was the head of its key, the next one of the key is the head, and due at once.
    /// - A relay that has read it already may still publish it.
    ///
    /// # Errors
    /// [`Error::NotDeferred`], [`Error::Unsigned`], [`Error::Database`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the act was done; doing it again is safe.
    async fn discard(&self, position: i64, by: &Signature) -> Result<(), Error>;

    /// What operators did, newest first: acts below `before`, at most `limit`, up to [`LONGEST`].
    ///
    /// # Errors
    /// [`Error::Database`].
    async fn acts(&self, before: Option<i64>, limit: u32) -> Result<Vec<Act>, Error>;

    /// The message that an act discarded, to be enqueued again if that was wrong; `None`: the act
    /// does not exist, or discarded nothing.
    ///
    /// # Errors
    /// [`Error::Database`].
    async fn discarded(&self, act: i64) -> Result<Option<Content>, Error>;
}

#[async_trait]
impl<O: Operator + ?Sized> Operator for Arc<O> {
    async fn deferred(
        &self,
        which: &Which,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Deferred>, Error> {
        (**self).deferred(which, after, limit).await
    }

    async fn retry_now(&self, position: i64, by: &Signature) -> Result<(), Error> {
        (**self).retry_now(position, by).await
    }

    async fn discard(&self, position: i64, by: &Signature) -> Result<(), Error> {
        (**self).discard(position, by).await
    }

    async fn acts(&self, before: Option<i64>, limit: u32) -> Result<Vec<Act>, Error> {
        (**self).acts(before, limit).await
    }

    async fn discarded(&self, act: i64) -> Result<Option<Content>, Error> {
        (**self).discarded(act).await
    }
}
