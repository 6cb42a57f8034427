//! Owners, and what they recorded and sent.

use std::collections::HashMap;

use crate::{
    History,
    history::{Ownership, Sent},
};

/// Each change of owner gives a fencing token above all earlier ones of the shard.
#[must_use]
pub fn fencing_tokens_rise(history: &History) -> Vec<String> {
    let mut highest: HashMap<&str, i64> = HashMap::new();
    let fallen = history.ownership.iter().filter_map(|event| {
        let Ownership::Taken { shard, fence, by } = event else {
            return None;
        };
        let before = highest.insert(shard, *fence)?;
        (before >= *fence)
            .then(|| format!("{by} was given token {fence} of {shard} after {before}"))
    });
    fallen.collect()
}

/// All takeovers, records and sends under one fencing token are of one process.
#[must_use]
pub fn one_owner_per_fencing_token(history: &History) -> Vec<String> {
    let taken = history.ownership.iter().filter_map(|event| match event {
        Ownership::Taken { shard, fence, by } => Some((shard, *fence, by)),
        Ownership::Recorded { shard, fence, by } => Some((shard.as_ref()?, (*fence)?, by)),
    });
    let sent = history.sends.iter();
    let sent = sent.map(|sent| (&sent.shard, sent.fence, &sent.by));
    let mut owners: HashMap<(&str, i64), &str> = HashMap::new();
    let others = taken.chain(sent).filter_map(|(shard, fence, by)| {
        let owner = *owners.entry((shard, fence)).or_insert(by);
        (owner != by).then(|| format!("token {fence} of {shard}: {owner}, and {by}"))
    });
    let mut others: Vec<String> = others.collect();
    others.dedup();
    others
}

/// Each record of a shard is of the process that took the shard last. A process that found nothing
/// to record owned some shard.
#[must_use]
pub fn records_by_owners(history: &History) -> Vec<String> {
    let mut owners: HashMap<&str, (&str, i64)> = HashMap::new();
    let mut strangers = Vec::new();
    for (at, event) in history.ownership.iter().enumerate() {
        match event {
            Ownership::Taken { shard, fence, by } => {
                owners.insert(shard, (by, *fence));
            }
            Ownership::Recorded {
                shard: Some(shard),
                fence,
                by,
            } => {
                let owner = owners.get(&**shard);
                let owns = owner.is_some_and(|(owner, current)| {
                    owner == by && fence.is_none_or(|fence| fence == *current)
                });
                if !owns {
                    strangers.push(format!(
                        "event {at}: {by} recorded under {fence:?} for {shard}, taken by {owner:?}"
                    ));
                }
            }
            Ownership::Recorded { by, .. } if !owners.values().any(|(owner, _)| owner == by) => {
                let what = "which owns nothing, recorded something";
                strangers.push(format!("event {at}: {by}, {what}"));
            }
            Ownership::Recorded { .. } => {}
        }
    }
    strangers
}

/// No owner sends a message that was already recorded as published when the owner read it. A
/// message that was read before a change of owner may still be sent: it is a repetition.
#[must_use]
pub fn nothing_recorded_is_sent(history: &History) -> Vec<String> {
    let again = history.sends.iter().filter(|sent| sent.recorded);
    again
        .map(|Sent { id, by, shard, .. }| format!("{by} sent {id} of {shard} again"))
        .collect()
}
