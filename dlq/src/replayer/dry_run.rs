//! A replay without its effect.

use mainstay_database::Transactions as _;
use mainstay_inbox::store::WorkerStore;
use mainstay_messaging::Delivery;
use serde::Serialize;

use super::Replayer;
use crate::{
    Error, Signature, desk::AuditRecord, error::chain, letter::DeadLetterId, store::QueueStore,
};

/// What a dry run of a message showed. Its effect was rolled back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct DryRun {
    /// Why the handler would fail; `None`: it would succeed.
    pub error: Option<String>,
    /// Which revision was run.
    pub revision: u32,
}

impl<I, S, T> Replayer<I, S, T>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
    T: Clone + Send + Sync + 'static,
{
    /// Runs the handler of a message and rolls back what it wrote. Effects outside the transaction
    /// are made, so it is recorded before it is run.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Unsigned`]; [`Error::Database`] if the database is away.
    ///
    /// # Cancel safety
    /// The transaction of the handler is rolled back.
    pub async fn dry_run(&self, id: DeadLetterId, by: &Signature) -> Result<DryRun, Error> {
        by.check()?;
        let (database, store) = (self.queue.database(), self.queue.store());
        let details = store.show(id).await?.ok_or(Error::NotFound(id))?;
        let revision = details.letter.revision;
        let mut tx = database.begin().await?;
        let entry = AuditRecord {
            signature: by,
            act: "dry_run",
            letter: Some(id),
            job: None,
            detail: &format!("revision {revision}"),
        };
        store.log(&mut tx, &entry).await?;
        database.commit(tx).await?;

        let delivery = Delivery {
            position: details.letter.position,
            content: details.content,
        };
        let mut tx = database.begin().await?;
        let running = self.handlers.run(&mut tx, &delivery);
        let ran = tokio::time::timeout(self.settings.handler_deadline, running).await;
        drop(tx);
        let error = match ran {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(chain(error.error())),
            Err(_) => Some(format!(
                "the handler took longer than {:?}",
                self.settings.handler_deadline
            )),
        };
        Ok(DryRun { error, revision })
    }
}
