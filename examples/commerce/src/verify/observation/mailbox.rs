//! The tables of outbox, inbox and dead letter queue of one service.

use std::collections::HashSet;

use commerce_chassis::{Result, Snapshot};

use super::super::{dead_letters::Letter, log::Envelope};

/// What a service has received, and what it is to publish.
#[derive(Default, Debug)]
pub(crate) struct Mailbox {
    /// Source and id of each message with a processed record.
    pub(crate) processed: HashSet<(String, String)>,
    pub(crate) outbox: Vec<Waiting>,
    /// Messages that an operator removed from the outbox.
    pub(crate) discarded: Vec<Waiting>,
    /// The dead letter queue, replayed and discarded messages included.
    pub(crate) letters: Vec<Letter>,
}

/// A message that waits in an outbox.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) order_id: Option<String>,
    /// None = it does not decode.
    pub(crate) envelope: Option<Envelope>,
    /// Whether it is in the deferred table.
    pub(crate) deferred: bool,
}

impl Mailbox {
    pub(super) async fn read(snapshot: &mut Snapshot) -> Result<Self> {
        type Row = (Option<String>, Option<String>);
        let waiting = "SELECT key, envelope FROM outbox";
        let waiting: Vec<Row> = snapshot.all(waiting).await?;
        let deferred = "SELECT key, envelope FROM outbox_deferred";
        let deferred: Vec<Row> = snapshot.all(deferred).await?;
        let read = |(order_id, envelope): Row, deferred| Waiting {
            order_id,
            envelope: envelope.and_then(|envelope| serde_json::from_str(&envelope).ok()),
            deferred,
        };
        let waiting = waiting.into_iter().map(|row| read(row, false));
        let deferred = deferred.into_iter().map(|row| read(row, true));
        let processed = "SELECT source, id FROM inbox_processed";
        let processed: Vec<(String, String)> = snapshot.all(processed).await?;
        let discarded = "SELECT key, envelope FROM outbox_acts WHERE act = 'discard'";
        let discarded: Vec<Row> = snapshot.all(discarded).await?;
        Ok(Self {
            processed: processed.into_iter().collect(),
            outbox: waiting.chain(deferred).collect(),
            discarded: discarded.into_iter().map(|row| read(row, true)).collect(),
            letters: Letter::read_all(snapshot).await?,
        })
    }

    /// The messages that are not in the log: those of the outbox, and those that were removed.
    pub(crate) fn unpublished(&self) -> impl Iterator<Item = &Waiting> {
        self.outbox.iter().chain(&self.discarded)
    }
}
