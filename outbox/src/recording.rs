//! An outbox for tests of services: keeps what was emitted and publishes nothing.

use std::{
    collections::HashSet,
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use mainstay_messaging::{
    Event, Message, Source,
    event::{self, DecodeError},
};

use crate::{DeduplicationKey, Enqueued, Entry, Error, Outbox, store::Origin};

/// An [`Outbox`] that keeps what was enqueued in memory, for tests. Clones share it.
///
/// `C` is the connection type of the code under test, so that neither a server nor the outbox's
/// tables are needed. Write that code against the role, such as `&impl Outbox<Connection = C>`.
///
/// ```
/// use mainstay_outbox::{Error, Event, Outbox, RecordingOutbox};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// struct OrderPlaced { id: String, cents: i64 }
/// impl Event for OrderPlaced {
///     const TOPIC: &'static str = "orders";
///     const KIND: &'static str = "OrderPlaced";
/// }
///
/// async fn place<O: Outbox>(outbox: &O, tx: &mut O::Connection, cents: i64) -> Result<(), Error> {
///     outbox.emit(tx, &OrderPlaced { id: "17".into(), cents }).await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let outbox = RecordingOutbox::<()>::new();
/// place(&outbox, &mut (), 4_200).await?;
/// assert_eq!(outbox.events::<OrderPlaced>()?, [OrderPlaced { id: "17".into(), cents: 4_200 }]);
/// # Ok(()) }
/// ```
///
/// It knows nothing of transactions: it also keeps messages of a transaction that is rolled back.
pub struct RecordingOutbox<C> {
    inner: Arc<Inner>,
    connection: PhantomData<fn(&mut C)>,
}

#[derive(Debug)]
struct Inner {
    origin: Origin,
    recorded: Mutex<Recorded>,
}

#[derive(Default, Debug)]
struct Recorded {
    messages: Vec<Message>,
    deduplication_keys: HashSet<DeduplicationKey>,
}

impl<C> RecordingOutbox<C> {
    /// An empty one whose events have the source `/test`.
    #[must_use]
    pub fn new() -> Self {
        let system = Origin::default();
        Self::with_origin(Origin::new(
            Some(Source::from_static("/test")),
            Arc::clone(system.clock()),
            Arc::clone(system.ids()),
        ))
    }

    /// An empty one whose events have this origin.
    #[must_use]
    pub fn with_origin(origin: Origin) -> Self {
        Self {
            inner: Arc::new(Inner {
                origin,
                recorded: Mutex::default(),
            }),
            connection: PhantomData,
        }
    }

    /// Every message that was enqueued, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.recorded().messages.clone()
    }

    /// Every event of type `E` that was enqueued, in order.
    ///
    /// # Errors
    /// [`DecodeError`] when a message of that topic and kind does not decode.
    pub fn events<E: Event>(&self) -> Result<Vec<E>, DecodeError> {
        let recorded = self.recorded();
        let of_type = recorded.messages.iter().filter(|message| {
            message.topic.as_str() == E::TOPIC && message.kind.as_str() == E::KIND
        });
        of_type.map(event::decode).collect()
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        // Every change is complete: a panic elsewhere cannot have left half of one.
        self.inner
            .recorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<C: Send + 'static> Outbox for RecordingOutbox<C> {
    type Connection = C;

    async fn enqueue_batch(
        &self,
        _: &mut C,
        entries: &[Entry<'_>],
    ) -> Result<Vec<Enqueued>, Error> {
        let mut recorded = self.recorded();
        let enqueue = |entry: &Entry<'_>| {
            if let Some(key) = entry.deduplication_key()
                && !recorded.deduplication_keys.insert(key.clone())
            {
                return Enqueued::Duplicate;
            }
            recorded.messages.push(entry.message().clone());
            Enqueued::Added
        };
        Ok(entries.iter().map(enqueue).collect())
    }

    fn notify(&self) {}

    fn origin(&self) -> &Origin {
        &self.inner.origin
    }
}

impl<C> Default for RecordingOutbox<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Clone for RecordingOutbox<C> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            connection: PhantomData,
        }
    }
}

impl<C> fmt::Debug for RecordingOutbox<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingOutbox")
            .field("inner", &self.inner)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_recording_outbox_keeps_messages_in_order_and_tells_duplicates() {
        let outbox = RecordingOutbox::<()>::new();
        let message = |id: &str| {
            let message = Message::builder().id(id).source("/t").topic("t").kind("K");
            message.build().unwrap()
        };
        let (first, second) = (message("1"), message("2"));
        let key = DeduplicationKey::new("once").unwrap();
        let entries = [
            Entry::new(&first).deduplicate(&key),
            Entry::new(&second),
            Entry::new(&second).deduplicate(&key),
        ];
        let results = outbox.clone().enqueue_batch(&mut (), &entries).await;
        assert_eq!(
            results.unwrap(),
            [Enqueued::Added, Enqueued::Added, Enqueued::Duplicate]
        );
        assert_eq!(outbox.messages(), [first, second]);
    }
}
