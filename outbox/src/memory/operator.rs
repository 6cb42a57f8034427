//! The operator's role.

use async_trait::async_trait;
use mainstay_database::memory::Inserted;

use super::{
    Inner, MemoryOutbox,
    records::{ActRow, DeferredRow},
};
use crate::{
    Error,
    operator::{Act, Deferred, LONGEST, MOST_HELD, Operator, Signature, Which},
    store::Content,
};

#[async_trait]
impl Operator for MemoryOutbox {
    async fn deferred(
        &self,
        which: &Which,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Deferred>, Error> {
        let mut tx = self.inner.database.begin().await?;
        let rows = tx.statement().await?.scan::<DeferredRow>(..);
        let after = after.unwrap_or(i64::MIN);
        let limit = usize::try_from(limit.clamp(1, LONGEST)).unwrap_or(usize::MAX);
        let found = rows.iter().filter(|row| row.position > after);
        let found = found.map(|row| shown(row, &rows));
        let is_meant = |row: &Deferred| match which {
            Which::All => true,
            Which::Heads => row.head,
            Which::Key { topic, key } => {
                row.blocked && (&row.topic, row.key.as_ref()) == (topic, Some(key))
            }
        };
        Ok(found.filter(is_meant).take(limit).collect())
    }

    async fn retry_now(&self, position: i64, by: &Signature) -> Result<(), Error> {
        by.check()?;
        let inner = &self.inner;
        let mut tx = inner.database.begin().await?;
        let mut statement = tx.statement().await?;
        let rows = statement.scan::<DeferredRow>(..);
        let row = rows.iter().find(|row| row.position == position);
        let row = row.ok_or(Error::NotDeferred(position))?;
        let mut of_key = rows.iter().filter(|other| same_key(row, other));
        if let Some(first) = of_key.next().filter(|first| first.position != position) {
            let first = first.position;
            return Err(Error::HeldBehind { position, first });
        }
        let now = statement.now();
        let due = |row: &mut DeferredRow| {
            row.due_at = now;
            true
        };
        if !statement.update(&position, due).await? {
            return Err(Error::NotDeferred(position));
        }
        let act = act("retry", row, by, now, statement.next_value("outbox_acts"));
        let _: Inserted = statement.insert(act).await?;
        drop(statement);
        inner.commit_act(tx).await
    }

    async fn discard(&self, position: i64, by: &Signature) -> Result<(), Error> {
        by.check()?;
        let inner = &self.inner;
        let mut tx = inner.database.begin().await?;
        let mut statement = tx.statement().await?;
        let row = statement.get::<DeferredRow>(&position);
        let row = row.ok_or(Error::NotDeferred(position))?;
        if !statement.delete(&position, |_: &DeferredRow| true).await? {
            return Err(Error::NotDeferred(position));
        }
        let (now, id) = (statement.now(), statement.next_value("outbox_acts"));
        let mut act = act("discard", &row, by, now, id);
        act.content = Some(row.content);
        let _: Inserted = statement.insert(act).await?;
        drop(statement);
        inner.commit_act(tx).await
    }

    async fn acts(&self, before: Option<i64>, limit: u32) -> Result<Vec<Act>, Error> {
        let mut tx = self.inner.database.begin().await?;
        let rows = tx.statement().await?.scan::<ActRow>(..);
        let before = before.unwrap_or(i64::MAX);
        let limit = usize::try_from(limit.clamp(1, LONGEST)).unwrap_or(usize::MAX);
        let rows = rows.into_iter().rev().filter(|row| row.act.id < before);
        Ok(rows.take(limit).map(|row| row.act).collect())
    }

    async fn discarded(&self, act: i64) -> Result<Option<Content>, Error> {
        let mut tx = self.inner.database.begin().await?;
        let row = tx.statement().await?.get::<ActRow>(&act);
        Ok(row.and_then(|row| row.content))
    }
}

impl Inner {
    async fn commit_act(&self, tx: mainstay_database::memory::Transaction) -> Result<(), Error> {
        self.database.commit(tx).await?;
        self.notifier.notify();
        Ok(())
    }
}

/// Whether both are rows of one blocked key.
fn same_key(row: &DeferredRow, other: &DeferredRow) -> bool {
    row.blocked
        && other.blocked
        && row.ordering_key.is_some()
        && row.ordering_key == other.ordering_key
}

fn shown(row: &DeferredRow, rows: &[DeferredRow]) -> Deferred {
    let of_key = || rows.iter().filter(|other| same_key(row, other));
    let is_first = of_key()
        .next()
        .is_none_or(|first| first.position == row.position);
    let head = row.blocked && is_first;
    let behind = if head {
        of_key().count().saturating_sub(1)
    } else {
        0
    };
    let (topic, key) = names(row);
    let message = message(&row.content);
    Deferred {
        position: row.position,
        topic,
        key,
        message_id: message.map(|message| message.id.to_string()),
        kind: message.map(|message| message.kind.to_string()),
        size: message.map_or(0, |message| {
            u64::try_from(message.size()).unwrap_or(u64::MAX)
        }),
        blocked: row.blocked,
        head,
        held: u64::try_from(behind)
            .unwrap_or(u64::MAX)
            .min(MOST_HELD.into()),
        due_at: row.due_at,
        attempts: row.attempts,
        refusal: row.reason.clone(),
    }
}

const fn message(content: &Content) -> Option<&mainstay_messaging::Message> {
    match content {
        Content::Message(message) => Some(message),
        Content::Unreadable(_) => None,
    }
}

fn names(row: &DeferredRow) -> (String, Option<String>) {
    match (&row.ordering_key, message(&row.content)) {
        (Some((topic, key)), _) => (topic.to_string(), Some(key.to_string())),
        (None, Some(message)) => (message.topic.to_string(), None),
        (None, None) => (String::new(), None),
    }
}

fn act(act: &str, row: &DeferredRow, by: &Signature, at: std::time::SystemTime, id: i64) -> ActRow {
    let (topic, key) = names(row);
    let act = Act {
        id,
        at,
        operator: by.operator.clone(),
        reason: by.reason.clone(),
        act: act.to_owned(),
        topic,
        key,
        message_id: message(&row.content).map(|message| message.id.to_string()),
        refusal: row.reason.clone(),
    };
    ActRow { act, content: None }
}
