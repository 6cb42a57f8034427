//! Random runs, and one random damage to each.

use std::collections::BTreeMap;

use mainstay_history::{
    Blocked, Entry, History, Left, Moment, Place, Removal,
    check::{ALL, violations},
};
use proptest::prelude::*;

use super::{
    good::{cursor, recorded, taken},
    run::{CONSUMER, KEYS, Run},
};

/// Does something to a history against this invariant, somewhere.
fn damage(history: &mut History, invariant: &str, any: usize) {
    let key = (any % KEYS).to_string();
    let (first, effects) = places(history, &key);
    let pair = (any / KEYS) % (effects.len() - 1);
    let (done, next) = (effects[pair], effects[pair + 1]);
    let id = history.effects[done].entry.id.clone();
    let before = history.moment();
    match invariant {
        "no loss" if any.is_multiple_of(2) => history.effects.retain(|e| e.entry.id != id),
        "no loss" => history.published.retain(|r| r.entry.id != id),
        "no phantom" => history.effects[done].entry.attempt.push('2'),
        "first deliveries of a key in the order of its commits" => {
            let (a, b) = (first[pair], first[pair + 1]);
            let entry = history.published[a].entry.clone();
            history.published[a].entry = std::mem::replace(&mut history.published[b].entry, entry);
        }
        "offsets never move back" => {
            let mut back = history.offsets[any % history.offsets.len()].clone();
            back.offset -= 1;
            history.offsets.push(back);
        }
        "cursors never move back" => history.cursors.push(cursor("watermark", 0)),
        "the fencing token rises with each owner" => {
            let fence = i64::try_from(any).unwrap() % highest_fence(history) + 1;
            history.ownership.push(taken("shard", fence, "somebody"));
        }
        "one owner per fencing token" => {
            let mut other = history.sends[any % history.sends.len()].clone();
            other.by.push('2');
            history.sends.push(other);
        }
        "only the owner records" => {
            let stale = recorded("shard", Some(highest_fence(history) - 1), "relay 0");
            history.ownership.push(stale);
        }
        "nothing is sent that was recorded" => {
            let sends = history.sends.len();
            history.sends[any % sends].recorded = true;
        }
        "an effect once per consumer and message" => {
            history.effects.push(history.effects[done].clone());
        }
        "effects of a key in the order of its commits" => history.effects.swap(done, next),
        "offset committed, effect durable" => {
            let offsets = history.offsets.len();
            history.offsets[any % offsets].seen.effects = 0;
        }
        "no message overtakes a blocked key" => history.blocked.push(Blocked {
            at: Place::Consumer(CONSUMER.to_owned()),
            key: Some(key),
            id: history.effects[next].entry.id.clone(),
            seen: Moment {
                effects: done,
                ..before
            },
            lasting: false,
        }),
        "a blocked key blocks no other key" => {
            let at = Place::Consumer(CONSUMER.to_owned());
            history.blocked.push(Blocked {
                at: at.clone(),
                key: Some("poison".to_owned()),
                id: "poison".to_owned(),
                seen: before,
                lasting: true,
            });
            let key = Some(key);
            history.left.push(Left { at, key, id });
        }
        "retention removes nothing unpublished" => {
            let published = history.published.iter().position(|r| r.entry.id == id);
            let seen = Moment {
                published: published.unwrap(),
                ..before
            };
            history.removals.push(Removal::Row { id, seen });
        }
        "retention prunes nothing redeliverable" => {
            let consumer = CONSUMER.to_owned();
            let seen = Moment {
                offsets: 0,
                ..before
            };
            (history.removals).push(Removal::ProcessedRecord { consumer, id, seen });
        }
        "drained after heal" => history.left.push(Left {
            at: Place::Outbox,
            key: Some(key),
            id,
        }),
        _ => {}
    }
}

/// Where each message of a key was published first, and where it was done.
fn places(history: &History, key: &str) -> (Vec<usize>, Vec<usize>) {
    let of_key = |entry: &Entry| entry.key.as_deref() == Some(key);
    let mut first = BTreeMap::new();
    for (place, record) in history.published.iter().enumerate() {
        if of_key(&record.entry) {
            first.entry(record.entry.number).or_insert(place);
        }
    }
    let effects = history.effects.iter().enumerate();
    let effects = effects.filter(|(_, effect)| of_key(&effect.entry));
    (
        first.into_values().collect(),
        effects.map(|(place, _)| place).collect(),
    )
}

/// The highest fencing token that was given.
fn highest_fence(history: &History) -> i64 {
    i64::try_from(history.takeovers("shard")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_run_without_fault_passes_and_each_damage_is_found(
        steps in proptest::collection::vec((0..16u8, 0..1_000usize), 0..120),
        any in 0..10_000usize,
    ) {
        let history = Run::of(&steps).history;
        prop_assert_eq!(violations(&history), []);
        for (invariant, check) in ALL {
            let mut damaged = history.clone();
            damage(&mut damaged, invariant, any);
            prop_assert!(!check(&damaged).is_empty(), "not found: {}", invariant);
        }
    }
}
