//! Reading: a member of a group that fetches by offset and keeps its lease.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use mainstay_clock::Monotonic;
use tokio::sync::watch;

use crate::{
    Assignment, Consumer, Content, Delivery, Error, Flow, Group, Headers, Incoming, Key, Partition,
    Position, Raw, StartAt, Topic, envelope,
    sqlite::{
        Inner,
        append::split,
        driver,
        membership::{self, Claim, Member},
    },
};

/// One member of a consumer group on the log of a [`Broker`](super::Broker).
///
/// Dropped without [`release`](Consumer::release), it keeps its partitions until its lease ends, as a process
/// that was killed does.
#[derive(Debug)]
pub struct LogConsumer {
    inner: Arc<Inner>,
    me: Member,
    held: BTreeMap<i64, Held>,
    events: VecDeque<Incoming>,
    next_tick: Option<Monotonic>,
    doorbell: watch::Receiver<u64>,
}

/// A partition that is this member's.
#[derive(Debug)]
struct Held {
    partition: Partition,
    epoch: i64,
    /// Offset of the next record to hand out.
    next: i64,
    paused: bool,
    /// Set when it was asked back: when it goes at the latest.
    revoked_until: Option<Monotonic>,
}

type Row = (i64, Option<String>, String, Option<Vec<u8>>);

impl LogConsumer {
    pub(super) fn new(
        inner: Arc<Inner>,
        group: Group,
        topics: &[Topic],
        start_at: StartAt,
    ) -> Self {
        let topics: Vec<&str> = topics.iter().map(Topic::as_str).collect();
        let me = Member {
            group,
            name: inner.options.ids.uuid().to_string(),
            // Strings always serialise.
            topics: serde_json::to_string(&topics).unwrap_or_default(),
            start_at,
        };
        Self {
            doorbell: inner.doorbell.subscribe(),
            inner,
            me,
            held: BTreeMap::new(),
            events: VecDeque::new(),
            next_tick: None,
        }
    }

    /// Renews the lease and tells what changed. Cancel safe: what a tick did is read back by the next one.
    async fn tick(&mut self) -> Result<(), Error> {
        let view = membership::tick(&self.inner, &self.me).await?;
        let now = self.inner.options.clock.monotonic();
        self.next_tick = Some(now + self.inner.options.lease / 3);

        let lost: Vec<Partition> = self
            .held
            .extract_if(.., |id, held| {
                !view
                    .held
                    .iter()
                    .any(|claim| claim.id == *id && claim.epoch == held.epoch)
            })
            .map(|(_, held)| held.partition)
            .collect();
        if !lost.is_empty() {
            self.events.push_back(Incoming::Lost(lost));
        }
        let mut assigned = Vec::new();
        for claim in view.held {
            if !self.held.contains_key(&claim.id) {
                assigned.push(self.take(&claim)?);
            }
        }
        if !assigned.is_empty() {
            self.events.push_back(Incoming::Assigned(assigned));
        }
        self.revoke(&view.wanted_elsewhere, now).await
    }

    fn take(&mut self, claim: &Claim) -> Result<Assignment, Error> {
        if claim.committed < claim.first || claim.committed > claim.next {
            return Err(Error::OffsetOutOfRange {
                committed: Position {
                    partition: claim.partition.clone(),
                    offset: claim.committed,
                },
                first: claim.first,
                next: claim.next,
            });
        }
        self.held.insert(
            claim.id,
            Held {
                partition: claim.partition.clone(),
                epoch: claim.epoch,
                next: claim.committed,
                paused: false,
                revoked_until: None,
            },
        );
        Ok(Assignment {
            partition: claim.partition.clone(),
            start: claim.committed,
        })
    }

    /// Asks for what should move, and takes away what was asked for too long ago.
    async fn revoke(&mut self, wanted: &[i64], now: Monotonic) -> Result<(), Error> {
        let deadline = self.inner.options.revocation;
        let mut asked = Vec::new();
        let mut overdue = Vec::new();
        for id in wanted {
            if let Some(held) = self.held.get_mut(id) {
                match held.revoked_until {
                    None => {
                        held.revoked_until = Some(now + deadline);
                        asked.push(held.partition.clone());
                    }
                    Some(until) if until.has_passed_at(now) => overdue.push(*id),
                    Some(_) => {}
                }
            }
        }
        if !asked.is_empty() {
            self.events.push_back(Incoming::Revoked {
                partitions: asked,
                deadline,
            });
        }
        if !overdue.is_empty() {
            membership::release(&self.inner, &self.me, &overdue, false).await?;
            let lost = overdue
                .iter()
                .filter_map(|id| self.held.remove(id))
                .map(|held| held.partition)
                .collect();
            self.events.push_back(Incoming::Lost(lost));
        }
        Ok(())
    }

    async fn fetch(&mut self) -> Result<Vec<Delivery>, Error> {
        let count = i64::from(self.inner.options.fetch_records);
        let wanted: Vec<[i64; 3]> = self
            .held
            .iter()
            .filter(|(_, held)| !held.paused && held.revoked_until.is_none())
            .map(|(id, held)| [*id, held.next, held.next + count])
            .collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let wanted =
            serde_json::to_string(&wanted).map_err(|error| Error::Refused(error.into()))?;
        let rows: Vec<Row> = sqlx::query_as(self.inner.statements.fetch.clone())
            .bind(wanted)
            .fetch_all(self.inner.database.reader())
            .await
            .map_err(driver)?;
        Ok(rows
            .into_iter()
            .filter_map(|row| self.delivery(row))
            .collect())
    }

    fn delivery(&mut self, (id, key, text, payload): Row) -> Option<Delivery> {
        let (partition, offset) = split(id);
        let held = self.held.get_mut(&partition)?;
        held.next = offset + 1;
        let payload = payload.map(Bytes::from);
        let topic = held.partition.topic.clone();
        let raw = |reason: String| {
            let mut headers = Headers::new();
            headers.append("envelope", text.clone());
            Content::Raw(Raw {
                key: key.clone().map(Bytes::from),
                headers,
                payload: payload.clone(),
                reason,
            })
        };
        let content = match key.clone().map(Key::new).transpose() {
            Err(error) => raw(error.to_string()),
            Ok(key) => match envelope::read(&text, topic, key, payload.clone()) {
                Ok(message) => Content::Message(message),
                Err(error) => raw(error.to_string()),
            },
        };
        Some(Delivery {
            position: Position {
                partition: held.partition.clone(),
                offset,
            },
            content,
        })
    }

    fn id_of(&self, partition: &Partition) -> Option<i64> {
        self.held
            .iter()
            .find(|(_, held)| held.partition == *partition)
            .map(|(id, _)| *id)
    }
}

#[async_trait]
impl Consumer for LogConsumer {
    async fn next(&mut self) -> Result<Incoming, Error> {
        loop {
            let now = self.inner.options.clock.monotonic();
            if self.next_tick.is_none_or(|due| due.has_passed_at(now)) {
                self.tick().await?;
            }
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            // Marked as seen before looking, so an append in between rings again.
            self.doorbell.mark_unchanged();
            let deliveries = self.fetch().await?;
            if !deliveries.is_empty() {
                return Ok(Incoming::Deliveries(deliveries));
            }
            let until_tick = self
                .next_tick
                .map_or(self.inner.options.lease, |due| due.remaining_at(now));
            let idle = self.inner.options.poll_interval.min(until_tick);
            tokio::select! {
                () = tokio::time::sleep(idle) => {}
                // The sender lives in `inner`, which this consumer holds.
                _ = self.doorbell.changed() => {}
            }
        }
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Error> {
        let mut foreign = None;
        let mut rows: Vec<[i64; 3]> = Vec::with_capacity(positions.len());
        for position in positions {
            match self
                .id_of(&position.partition)
                .and_then(|id| Some((id, self.held.get(&id)?)))
            {
                Some((id, held)) => rows.push([id, held.epoch, position.offset]),
                None => foreign = Some(position.clone()),
            }
        }
        if !rows.is_empty() {
            let set = serde_json::to_string(&rows).map_err(|error| Error::Refused(error.into()))?;
            let stored = self.store(set).await?;
            let refused: Vec<i64> = rows
                .iter()
                .map(|row| row[0])
                .filter(|id| !stored.contains(id))
                .collect();
            for id in refused {
                if let Some(held) = self.held.remove(&id) {
                    foreign = positions
                        .iter()
                        .find(|p| p.partition == held.partition)
                        .cloned();
                    self.events.push_back(Incoming::Lost(vec![held.partition]));
                }
            }
        }
        foreign.map_or(Ok(()), |position| Err(Error::NotAssigned(position)))
    }

    fn flow(&mut self, partitions: &[Partition], flow: Flow) {
        for held in self.held.values_mut() {
            if partitions.contains(&held.partition) {
                held.paused = flow == Flow::Paused;
            }
        }
    }

    async fn release(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        let ids: Vec<i64> = partitions.iter().filter_map(|p| self.id_of(p)).collect();
        let leaving = ids.len() == self.held.len();
        membership::release(&self.inner, &self.me, &ids, leaving).await?;
        for id in ids {
            self.held.remove(&id);
        }
        Ok(())
    }
}

impl LogConsumer {
    /// Stores offsets; answers with the partitions whose epoch was still this member's.
    async fn store(&self, set: String) -> Result<Vec<i64>, Error> {
        use mainstay_database::Transactions as _;
        let mut tx = self.inner.database.begin().await.map_err(super::sort)?;
        let stored = sqlx::query_scalar(self.inner.statements.commit.clone())
            .bind(self.me.group.as_str())
            .bind(&self.me.name)
            .bind(set)
            .fetch_all(&mut *tx)
            .await
            .map_err(driver)?;
        self.inner.database.commit(tx).await.map_err(super::sort)?;
        Ok(stored)
    }
}
