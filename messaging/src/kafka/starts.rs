//! Where a member begins to read the partitions that it was assigned.

use std::{collections::BTreeMap, sync::Arc};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::KafkaResult,
};

use super::{
    builder::Settings,
    client::{Patience, insist},
    error,
    member::{Client, Membership, list},
    topics,
};
use crate::{
    Error, Group, StartAt, Topic,
    broker::{Partition, Position},
    holdings::Claim,
};

/// A question to the cluster: what a group has committed, and what the log has.
pub(super) struct Question {
    pub(super) settings: Arc<Settings>,
    pub(super) client: Arc<Client>,
    pub(super) group: Group,
    pub(super) topics: Arc<[Topic]>,
    pub(super) start_at: StartAt,
    pub(super) partitions: Vec<Partition>,
}

/// What the cluster answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// Where all partitions begin. Stored, if the group had no offset for them.
    Begun(Vec<Claim<Partition>>),
    /// The group stores nothing of this member before it has rejoined. Ask again then.
    Rejoin(Vec<Claim<Partition>>),
}

const DOING: &str = "reading the group's offsets";

impl Question {
    /// Claims of all `partitions`. None: another member founds the group; ask again, and in the end
    /// `alone`.
    ///
    /// Blocks the thread.
    pub(super) fn answer(&self, alone: bool) -> Result<Option<Answer>, Error> {
        let patience = Patience::of(&self.settings);
        let explain = |cause| self.context().trouble.explain(DOING, cause);
        let mut committed = self
            .committed(&self.partitions, &patience)
            .map_err(explain)?;
        let mut stored = true;
        if committed.len() < self.partitions.len() {
            let Some(starts) = self.begin(&mut committed, alone, &patience)? else {
                return Ok(None);
            };
            stored = starts.is_empty() || self.store(&starts)?;
            committed.extend(starts);
        }
        let first = self.ends(&self.partitions, Offset::Beginning, &patience);
        let first = first.map_err(explain)?;
        let next = self.ends(&self.partitions, Offset::End, &patience);
        let next = next.map_err(explain)?;
        let mut claims = Vec::with_capacity(self.partitions.len());
        for partition in &self.partitions {
            let found = (committed.get(partition))
                .zip(first.get(partition))
                .zip(next.get(partition));
            let Some(((committed, first), next)) = found else {
                return Err(error::unavailable(format!(
                    "the cluster does not know where {partition} begins and ends"
                )));
            };
            let claim = claim(partition, *committed, *first, *next);
            claim.check(None, &self.group)?;
            claims.push(claim);
        }
        Ok(Some(if stored {
            Answer::Begun(claims)
        } else {
            Answer::Rejoin(claims)
        }))
    }

    /// Whether the log has what follows each of these offsets.
    ///
    /// Blocks the thread.
    pub(super) fn check(&self, ends: &BTreeMap<Partition, i64>) -> Result<(), Error> {
        if ends.is_empty() {
            return Ok(());
        }
        let patience = Patience::of(&self.settings);
        let explain = |cause| self.context().trouble.explain(DOING, cause);
        let first = self.ends(&self.partitions, Offset::Beginning, &patience);
        let first = first.map_err(explain)?;
        let next = self.ends(&self.partitions, Offset::End, &patience);
        let next = next.map_err(explain)?;
        for (partition, at) in ends {
            if let Some((first, next)) = first.get(partition).zip(next.get(partition)) {
                claim(partition, *at, *first, *next).check(None, &self.group)?;
            }
        }
        Ok(())
    }

    /// Where partitions begin that are not in `committed`. None: another member founds the group.
    fn begin(
        &self,
        committed: &mut BTreeMap<Partition, i64>,
        alone: bool,
        patience: &Patience<'_>,
    ) -> Result<Option<BTreeMap<Partition, i64>>, Error> {
        let explain = |cause| self.context().trouble.explain(DOING, cause);
        if self.start_at == StartAt::Latest {
            let client = self.client.client();
            let all = topics::all_partitions(client, &self.settings, &self.topics, patience.left())
                .map_err(explain)?;
            // Another member may have founded the group since `committed` was read.
            committed.extend(self.committed(&all, patience).map_err(explain)?);
            if committed.is_empty() {
                // One member begins all partitions at once, so that the others, which may come a
                // moment later, find that the group has joined.
                let founds = all.iter().min() == self.partitions.iter().min();
                let begun = match (founds, alone) {
                    (true, _) => &all,
                    (false, true) => &self.partitions,
                    (false, false) => return Ok(None),
                };
                return (self.ends(begun, Offset::End, patience))
                    .map(Some)
                    .map_err(explain);
            }
        }
        // A group with an offset anywhere has joined before. Its new partitions hold only what came
        // later.
        let new: Vec<Partition> = (self.partitions.iter())
            .filter(|partition| !committed.contains_key(partition))
            .cloned()
            .collect();
        if new.is_empty() {
            return Ok(Some(BTreeMap::new()));
        }
        self.ends(&new, Offset::Beginning, patience)
            .map(Some)
            .map_err(explain)
    }

    /// Stores where partitions begin. False: the group takes nothing from this member now.
    fn store(&self, starts: &BTreeMap<Partition, i64>) -> Result<bool, Error> {
        let explain = |cause| self.context().trouble.explain(DOING, cause);
        let positions: Vec<Position> = starts
            .iter()
            .map(|(partition, offset)| Position {
                partition: partition.clone(),
                offset: *offset,
            })
            .collect();
        let list = offsets(&self.settings, &positions).map_err(explain)?;
        match self.client.commit(&list, CommitMode::Sync) {
            Ok(()) => Ok(true),
            Err(failed) if error::code(&failed).is_some_and(error::asks_to_rejoin) => {
                tracing::debug!(%failed, group = %self.group, "where partitions begin is not stored yet");
                Ok(false)
            }
            Err(failed) => Err(explain(failed)),
        }
    }

    fn context(&self) -> &Membership {
        self.client.context()
    }

    /// What the group has committed in those `partitions` where it has.
    fn committed(
        &self,
        partitions: &[Partition],
        patience: &Patience<'_>,
    ) -> KafkaResult<BTreeMap<Partition, i64>> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let asked = list(&self.settings, partitions);
        let found = self.client.committed_offsets(asked, patience.left())?;
        absolute(&self.settings, &found)
    }

    fn ends(
        &self,
        partitions: &[Partition],
        end: Offset,
        patience: &Patience<'_>,
    ) -> KafkaResult<BTreeMap<Partition, i64>> {
        insist(patience, || {
            let mut asked = list(&self.settings, partitions);
            asked.set_all_offsets(end)?;
            let found = self.client.offsets_for_times(asked, patience.left())?;
            absolute(&self.settings, &found)
        })
    }
}

fn claim(partition: &Partition, committed: i64, first: i64, next: i64) -> Claim<Partition> {
    Claim {
        id: partition.clone(),
        partition: partition.clone(),
        owner: None,
        epoch: 0,
        committed,
        first,
        next,
    }
}

/// The offsets in a list; those that are none are left out.
pub(super) fn absolute(
    settings: &Settings,
    list: &TopicPartitionList,
) -> KafkaResult<BTreeMap<Partition, i64>> {
    let mut found = BTreeMap::new();
    for element in list.elements() {
        element.error()?;
        if let (Some(topic), Offset::Offset(offset)) =
            (topics::plain(settings, element.topic()), element.offset())
        {
            let number = element.partition();
            found.insert(Partition { topic, number }, offset);
        }
    }
    Ok(found)
}

pub(super) fn offsets(
    settings: &Settings,
    positions: &[Position],
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for Position { partition, offset } in positions {
        let topic = topics::full(settings, &partition.topic);
        list.add_partition_offset(&topic, partition.number, Offset::Offset(*offset))?;
    }
    Ok(list)
}
