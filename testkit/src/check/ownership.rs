//! Who owned what, and who wrote and sent.

use std::collections::HashMap;

use crate::{
    History,
    history::{Ownership, Sent},
};

/// Whenever something is taken, its fence is higher than ever before.
pub fn fences_rise(history: &History) -> Vec<String> {
    let mut highest: HashMap<&str, i64> = HashMap::new();
    let fallen = history.ownership.iter().filter_map(|event| {
        let Ownership::Taken { shard, fence, by } = event else {
            return None;
        };
        let before = highest.insert(shard, *fence)?;
        (before >= *fence)
            .then(|| format!("{by} was given fence {fence} of {shard} after {before}"))
    });
    fallen.collect()
}

/// One owner takes, records or sends under a fence.
pub fn one_owner_per_fence(history: &History) -> Vec<String> {
    let taken = history.ownership.iter().filter_map(|event| match event {
        Ownership::Taken { shard, fence, by } => Some((shard, *fence, by)),
        Ownership::Recorded { shard, fence, by } => Some((shard.as_ref()?, (*fence)?, by)),
    });
    let sent = history.sends.iter();
    let sent = sent.map(|sent| (&sent.shard, sent.fence, &sent.by));
    let mut owners: HashMap<(&str, i64), &str> = HashMap::new();
    let others = taken.chain(sent).filter_map(|(shard, fence, by)| {
        let owner = *owners.entry((shard, fence)).or_insert(by);
        (owner != by).then(|| format!("fence {fence} of {shard}: {owner}, and {by}"))
    });
    let mut others: Vec<String> = others.collect();
    others.dedup();
    others
}

/// Only a shard's last owner records; an owner of some shard may record nothing.
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

/// No relay reads and then sends what was recorded as published. What it read before a change of owner
/// it may still send, as a repetition.
pub fn nothing_recorded_is_sent(history: &History) -> Vec<String> {
    let again = history.sends.iter().filter(|sent| sent.recorded);
    again
        .map(|Sent { id, by, shard, .. }| format!("{by} sent {id} of {shard} again"))
        .collect()
}
