//! Who owned what, and who wrote and sent.

use std::collections::HashMap;

use crate::{
    History,
    history::{Ownership, Sent},
};

/// Whenever something is taken, its fence is higher than ever before.
#[must_use]
pub fn fences_rise(history: &History) -> Vec<String> {
    let mut highest: HashMap<&str, i64> = HashMap::new();
    let mut fallen = Vec::new();
    for event in &history.ownership {
        let Ownership::Taken { shard, fence, by } = event else {
            continue;
        };
        match highest.insert(shard, *fence) {
            Some(before) if before >= *fence => fallen.push(format!(
                "{by} was given fence {fence} of {shard} after {before}"
            )),
            _ => {}
        }
    }
    fallen
}

/// Whoever takes, records or sends under a fence is the only one to do so.
#[must_use]
pub fn one_owner_per_fence(history: &History) -> Vec<String> {
    let taken = history.ownership.iter().filter_map(|event| match event {
        Ownership::Taken { shard, fence, by } => Some((shard, *fence, by)),
        Ownership::Recorded { shard, fence, by } => Some((shard.as_ref()?, (*fence)?, by)),
    });
    let sent = history.sends.iter();
    let sent = sent.map(|sent| (&sent.shard, sent.fence, &sent.by));
    let mut owners: HashMap<(&str, i64), &str> = HashMap::new();
    let mut others = Vec::new();
    for (shard, fence, by) in taken.chain(sent) {
        let owner = *owners.entry((shard, fence)).or_insert(by);
        if owner != by {
            others.push(format!("fence {fence} of {shard}: {owner}, and {by}"));
        }
    }
    others.dedup();
    others
}

/// Whoever recorded something of a shard was the last one to have taken it; who found nothing to record owned some shard.
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
                let owns = |(owner, current): &(&str, i64)| {
                    owner == by && fence.is_none_or(|fence| fence == *current)
                };
                if !owner.is_some_and(owns) {
                    strangers.push(format!(
                        "event {at}: {by} recorded under {fence:?} for {shard}, taken by {owner:?}"
                    ));
                }
            }
            Ownership::Recorded { by, .. } => {
                if !owners.values().any(|(owner, _)| owner == by) {
                    strangers.push(format!(
                        "event {at}: {by}, which owns nothing, recorded something"
                    ));
                }
            }
        }
    }
    strangers
}

/// Nobody reads, and then sends, what was recorded as published. What was read before a change of owner is another
/// matter: it may still be sent, and is a repetition.
#[must_use]
pub fn nothing_recorded_is_sent(history: &History) -> Vec<String> {
    let again = history.sends.iter().filter(|sent| sent.recorded);
    again
        .map(|Sent { id, by, shard, .. }| format!("{by} sent {id} of {shard} again"))
        .collect()
}
