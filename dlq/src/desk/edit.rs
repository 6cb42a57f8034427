//! A message with another body.

use mainstay_database::Transactions as _;
use mainstay_inbox::store::WorkerStore;
use mainstay_messaging::{Message, broker::Content};

use super::{Desk, Signature, act};
use crate::{Error, letter::DeadLetterId, store::QueueStore};

impl<I, S> Desk<I, S>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    /// Gives a kept message another body or other headers, as a new revision based on `revision`.
    /// The original and every revision are kept. The message keeps its identity, its key and its
    /// place: a replay runs the newest revision, once.
    ///
    /// A record that was not a message becomes one.
    ///
    /// # Errors
    /// [`Error::Revised`] if another operator was faster; [`Error::InvalidEdit`] if source, id,
    /// topic or key differ, or if the message does not decode as the event that was given to
    /// [`check`](Self::check); [`Error::NotFound`]; [`Error::WrongState`] unless it is dead or held;
    /// [`Error::Unsigned`]; [`Error::Database`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the edit was done; doing it again is safe.
    pub async fn edit(
        &self,
        id: DeadLetterId,
        revision: u32,
        message: Message,
        by: &Signature,
    ) -> Result<u32, Error> {
        by.check()?;
        let (database, store) = (self.queue.database(), self.queue.store());
        let mut tx = database.begin().await?;
        let letter = store.lock(&mut tx, id).await?.ok_or(Error::NotFound(id))?;
        if !letter.state.is_kept() {
            let (state, needed) = (letter.state, "dead or held");
            return Err(Error::WrongState { id, state, needed });
        }
        if letter.revision != revision {
            return Err(Error::Revised {
                id,
                expected: revision,
                found: letter.revision,
            });
        }
        let before = store.body(id, Some(letter.revision)).await?;
        let before = before.ok_or(Error::NotFound(id))?;
        let refused = |why: &str| Error::InvalidEdit {
            id,
            source: why.into(),
        };
        if let Content::Message(original) = &before {
            if (&original.source, &original.id) != (&message.source, &message.id) {
                return Err(refused(
                    "a revision keeps the source and the id of its message",
                ));
            }
            if (&original.topic, &original.key) != (&message.topic, &message.key) {
                return Err(refused(
                    "a revision keeps the topic and the key of its message",
                ));
            }
        }
        if let Some(check) = self.checks.get(message.kind.as_str()) {
            check(&message).map_err(|source| Error::InvalidEdit { id, source })?;
        }
        store
            .revise(&mut tx, &letter, &Content::Message(message))
            .await?;
        let next = letter.revision + 1;
        let detail = format!("revision {next}");
        store.log(&mut tx, &act(by, "edit", id, &detail)).await?;
        database.commit(tx).await?;
        Ok(next)
    }

    /// The body as it came (revision 0), or as a later revision made it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Database`].
    pub async fn revision(&self, id: DeadLetterId, revision: u32) -> Result<Content, Error> {
        let body = self.queue.store().body(id, Some(revision)).await?;
        body.ok_or(Error::NotFound(id))
    }
}
