//! Who owned a shard, and who wrote.

use std::collections::HashMap;

use super::{Verdict, Violation};
use crate::{History, Ownership};

/// Whenever a shard is taken, its fence is higher than ever before.
pub fn fences_rise(history: &History) -> Verdict {
    let mut highest: HashMap<i32, i64> = HashMap::new();
    let mut fallen = Vec::new();
    for event in &history.ownership {
        let Ownership::Taken { shard, fence, by } = event else {
            continue;
        };
        match highest.insert(*shard, *fence) {
            Some(before) if before >= *fence => fallen.push(format!(
                "{by} was given fence {fence} of shard {shard} after {before}"
            )),
            _ => {}
        }
    }
    Violation::of("the fence of a shard rises with each owner", fallen)
}

/// Whoever removed rows of a shard was the last one to have taken it; who found nothing to remove owned some shard.
pub fn removals_by_owners(history: &History) -> Verdict {
    let mut owners: HashMap<i32, &str> = HashMap::new();
    let mut strangers = Vec::new();
    for (at, event) in history.ownership.iter().enumerate() {
        match event {
            Ownership::Taken { shard, by, .. } => {
                owners.insert(*shard, by);
            }
            Ownership::Removed {
                shard: Some(shard),
                by,
            } => {
                let owner = owners.get(shard).copied();
                if owner != Some(by) {
                    strangers.push(format!(
                        "event {at}: {by} removed rows of shard {shard}, which {owner:?} had taken"
                    ));
                }
            }
            Ownership::Removed { shard: None, by } => {
                if !owners.values().any(|owner| owner == by) {
                    strangers.push(format!(
                        "event {at}: {by}, which owns nothing, recorded something"
                    ));
                }
            }
        }
    }
    Violation::of(
        "after a change of owner all writes of the old one are refused",
        strangers,
    )
}
