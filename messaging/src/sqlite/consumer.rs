//! Reading: a member of a group that fetches by offset and keeps its lease.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use mainstay_clock::Monotonic;
use tokio::sync::watch;

use crate::{
    Error, Group, Headers, Key, Message, Topic,
    broker::{
        Consumer, ConsumerEvent, Content, Delivery, Partition, Position, Raw,
        builder::Subscription, lease::renewal,
    },
    envelope,
    holdings::Holdings,
    sqlite::{
        Ends, Inner,
        append::split,
        driver,
        membership::{self, Member},
        sort,
    },
};

/// One member of a consumer group on the log of a [`Broker`](super::Broker).
///
/// A consumer that is dropped without [`release`](Consumer::release) keeps its partitions until its
/// lease ends, as a killed process does.
#[derive(Debug)]
pub struct LogConsumer {
    inner: Arc<Inner>,
    me: Member,
    holdings: Holdings<i64>,
    next_tick: Option<Monotonic>,
    /// The partition that the last fetch ended with.
    turn: i64,
    appends: watch::Receiver<Ends>,
    /// When to look for records of other processes; none = read the log now.
    next_poll: Option<Monotonic>,
    /// Where each partition ended at the last tick.
    ends: Ends,
    /// Whether the last read of the log failed.
    failed: bool,
}

/// Id, key, envelope, payload. Texts are read as bytes: SQLite does not check them, and a damaged
/// one must not block the log.
type Row = (i64, Option<Vec<u8>>, Vec<u8>, Option<Vec<u8>>);

fn size((_, key, envelope, payload): &Row) -> usize {
    key.as_ref().map_or(0, Vec::len) + envelope.len() + payload.as_ref().map_or(0, Vec::len)
}

impl LogConsumer {
    pub(super) fn new(inner: Arc<Inner>, subscription: Subscription) -> Self {
        let topics: Vec<&str> = subscription.topics.iter().map(Topic::as_str).collect();
        let me = Member {
            // Strings always serialise.
            topics: serde_json::to_string(&topics).unwrap_or_default(),
            name: inner.settings.ids.uuid().to_string(),
            group: subscription.group.clone(),
            start_at: subscription.start_at,
        };
        Self {
            appends: inner.appends.subscribe(),
            next_poll: None,
            ends: Ends::new(),
            failed: false,
            inner,
            me,
            holdings: Holdings::new(subscription.group),
            next_tick: None,
            turn: 0,
        }
    }

    async fn wait(&mut self) -> Result<ConsumerEvent, Error> {
        loop {
            let now = self.inner.settings.clock.monotonic();
            if self.next_tick.is_none_or(|due| due.has_passed_at(now)) {
                self.tick().await?;
            }
            if let Some(event) = self.holdings.event() {
                return Ok(event);
            }
            let mut is_behind = self.is_behind();
            if !is_behind && self.next_poll.is_some_and(|due| due.has_passed_at(now)) {
                self.next_poll = Some(self.inner.look_for_appends(now).await?);
                is_behind = self.is_behind();
            }
            if is_behind || self.next_poll.is_none() || self.failed {
                let deliveries = self.fetch(now).await?;
                if !deliveries.is_empty() {
                    return Ok(ConsumerEvent::Deliveries(deliveries));
                }
                if self.failed {
                    return Ok(ConsumerEvent::Recovered);
                }
            }
            let until =
                |due: Option<Monotonic>| due.map_or(Duration::ZERO, |due| due.remaining_at(now));
            let idle = until(self.next_poll).min(until(self.next_tick));
            tokio::select! {
                () = tokio::time::sleep(idle) => {}
                // The sender is in `inner`, which this consumer holds.
                _ = self.appends.changed() => {}
            }
        }
    }

    /// Whether records are known that are not read yet. Marks the appends as seen, so that a later
    /// one wakes again.
    fn is_behind(&mut self) -> bool {
        let ends = self.appends.borrow_and_update();
        let mut delivering = self.holdings.delivering();
        delivering.any(|(id, held)| ends.get(id).is_some_and(|end| held.next < *end))
    }

    /// Renews the lease and notes changes. Cancel safe: the next tick reads back what this one did.
    async fn tick(&mut self) -> Result<(), Error> {
        let view = membership::tick(&self.inner, &self.me, self.next_tick.is_none()).await?;
        let settings = &self.inner.settings;
        let now = settings.clock.monotonic();
        self.next_tick = Some(renewal(now, settings.lease));
        self.next_poll = None; // what it takes may have records
        self.ends = view
            .held
            .iter()
            .map(|claim| (claim.id, claim.next))
            .collect();
        let overdue = self
            .holdings
            .observe(view, now, settings.revocation_timeout)?;
        if !overdue.is_empty() {
            membership::release(&self.inner, &self.me, &overdue, false).await?;
            self.holdings.take_away(&overdue);
        }
        Ok(())
    }

    async fn fetch(&mut self, now: Monotonic) -> Result<Vec<Delivery>, Error> {
        self.next_poll = None;
        let settings = &self.inner.settings;
        let limit = settings.fetch_records;
        let count = i64::from(limit);
        let mut wanted: Vec<[i64; 3]> = self
            .holdings
            .delivering()
            .map(|(id, held)| [*id, held.next, held.next + count])
            .collect();
        let next_poll = Some(now + settings.poll_interval);
        if wanted.is_empty() {
            self.next_poll = next_poll;
            return Ok(Vec::new());
        }
        // The partitions behind the one where the bytes ran out come first this time.
        wanted.sort_by_key(|[id, ..]| (*id <= self.turn, *id));
        let wanted =
            serde_json::to_string(&wanted).map_err(|error| Error::Refused(error.into()))?;
        let mut rows: Vec<Row> = Vec::new();
        let looked_at_all = {
            let mut bytes = 0;
            let mut found = sqlx::query_as(self.inner.statements.fetch.clone())
                .bind(wanted)
                .fetch(self.inner.database.reader());
            loop {
                if bytes >= settings.fetch_bytes {
                    break false;
                }
                let Some(row) = found.try_next().await.map_err(driver)? else {
                    break true;
                };
                bytes += size(&row);
                rows.push(row);
            }
        };
        self.turn = rows.last().map_or(0, |(id, ..)| split(*id).0);
        let fetched = rows.len();
        let deliveries: Vec<_> = rows
            .into_iter()
            .filter_map(|row| self.delivery(row))
            .collect();
        if deliveries.len() < fetched || (looked_at_all && self.is_before_a_hole(&deliveries)) {
            // Records were removed before they were read. If the log now begins later, the tick
            // returns that error.
            self.tick().await?;
            return Err(Error::Refused(
                "records in the middle of the log are missing".into(),
            ));
        }
        if looked_at_all && fetched < usize::from(limit) {
            self.next_poll = next_poll;
        }
        Ok(deliveries)
    }

    /// Whether a partition has delivered nothing although it has records.
    fn is_before_a_hole(&self, deliveries: &[Delivery]) -> bool {
        self.holdings.delivering().any(|(id, held)| {
            self.ends.get(id).is_some_and(|end| held.next < *end)
                && !deliveries
                    .iter()
                    .any(|delivery| delivery.position.partition == held.partition)
        })
    }

    fn delivery(&mut self, (id, key, text, payload): Row) -> Option<Delivery> {
        let (partition, offset) = split(id);
        let position = self.holdings.hand_out(&partition, offset)?;
        let payload = payload.map(Bytes::from);
        let topic = position.partition.topic.clone();
        let content = match message(topic, key.as_deref(), &text, payload.clone()) {
            Ok(message) => Content::Message(message),
            Err(reason) => {
                let mut headers = Headers::new();
                headers.append("envelope", text);
                Content::Raw(Raw {
                    key: key.map(Bytes::from),
                    headers,
                    payload,
                    reason: reason.to_string(),
                })
            }
        };
        Some(Delivery { position, content })
    }
}

fn message(
    topic: Topic,
    key: Option<&[u8]>,
    text: &[u8],
    payload: Option<Bytes>,
) -> Result<Message, Box<dyn std::error::Error>> {
    let key = key
        .map(|key| Ok::<_, Box<dyn std::error::Error>>(Key::new(str::from_utf8(key)?)?))
        .transpose()?;
    Ok(envelope::read(str::from_utf8(text)?, topic, key, payload)?)
}

#[async_trait]
impl Consumer for LogConsumer {
    fn group(&self) -> &Group {
        self.holdings.group()
    }

    async fn next(&mut self) -> Result<ConsumerEvent, Error> {
        let event = self.wait().await;
        self.failed = event.is_err();
        event
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Error> {
        let commit = self.holdings.prepare(positions);
        let stored = if commit.offsets.is_empty() {
            Vec::new()
        } else {
            self.store(&commit.offsets).await?
        };
        self.holdings.finish(commit, &stored)
    }

    fn pause(&mut self, partitions: &[Partition]) {
        self.holdings.pause(partitions);
    }

    fn resume(&mut self, partitions: &[Partition]) {
        self.holdings.resume(partitions);
        self.next_poll = None;
    }

    async fn release(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        let ids = self.holdings.ids(partitions);
        let leaving = ids.len() == self.holdings.count();
        membership::release(&self.inner, &self.me, &ids, leaving).await?;
        self.holdings.give_back(partitions);
        Ok(())
    }
}

impl LogConsumer {
    /// Stores offsets; returns the partitions whose epoch was this member's.
    async fn store(&self, offsets: &[(i64, i64, i64)]) -> Result<Vec<i64>, Error> {
        let set = serde_json::to_string(offsets).map_err(|error| Error::Refused(error.into()))?;
        let mut tx = self.inner.database.begin().await.map_err(sort)?;
        let stored = sqlx::query_scalar(self.inner.statements.commit.clone())
            .bind(self.me.group.as_str())
            .bind(&self.me.name)
            .bind(set)
            .fetch_all(&mut *tx)
            .await
            .map_err(driver)?;
        self.inner.database.commit(tx).await.map_err(sort)?;
        Ok(stored)
    }
}
