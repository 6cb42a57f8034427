//! Each checker on a history without fault, and on one that it must refuse.

use super::{
    Check, each_published_once, effects_once_in_order, fences_rise,
    first_deliveries_in_commit_order, no_phantom, nothing_lost, outbox_drained, removals_by_owners,
    violations,
};
use crate::{Entry, History, Ownership};

fn entry(key: &str, number: i64) -> Entry {
    Entry {
        key: key.to_owned(),
        number,
        id: format!("{key}-{number}"),
        attempt: format!("first of {key}-{number}"),
    }
}

fn taken(shard: i32, fence: i64, by: &str) -> Ownership {
    Ownership::Taken {
        shard,
        fence,
        by: by.to_owned(),
    }
}

fn removed(shard: impl Into<Option<i32>>, by: &str) -> Ownership {
    Ownership::Removed {
        shard: shard.into(),
        by: by.to_owned(),
    }
}

/// Numbers with a gap, as a rolled-back transaction leaves it; a duplicate, as a killed relay leaves it.
fn good() -> History {
    let (a, b) = (
        [1, 2, 4].map(|n| entry("a", n)),
        [1, 2].map(|n| entry("b", n)),
    );
    let [a1, a2, a4] = a.clone();
    let [b1, b2] = b.clone();
    History {
        committed: [&a[..], &b[..]].concat(),
        published: vec![
            a1.clone(),
            b1.clone(),
            a1.clone(),
            a2.clone(),
            b2.clone(),
            a1.clone(),
            a4.clone(),
        ],
        effects: vec![b1, a1, a2, b2, a4],
        waiting: 0,
        ownership: vec![
            taken(0, 1, "one"),
            taken(1, 1, "one"),
            removed(0, "one"),
            removed(None, "one"),
            taken(1, 2, "two"),
            removed(1, "two"),
            removed(0, "one"),
        ],
    }
}

/// The checker accepts the good history, and of the damaged one says something that contains `says`.
fn refuses(check: Check, damage: impl Fn(&mut History), says: &str) {
    let mut history = good();
    check(&history).unwrap();
    damage(&mut history);
    let violation = check(&history).unwrap_err();
    assert!(violation.to_string().contains(says), "{violation}");
}

#[test]
fn a_history_without_fault_passes() {
    assert_eq!(violations(&good()), []);
}

#[test]
fn what_was_not_published_or_not_done_is_lost() {
    refuses(
        nothing_lost,
        |history| history.published.retain(|e| e.id != "b-2"),
        "was not published",
    );
    refuses(
        nothing_lost,
        |history| history.effects.retain(|e| e.id != "a-4"),
        "has no effect",
    );
}

#[test]
fn what_was_rolled_back_is_a_phantom_also_if_another_attempt_was_committed() {
    refuses(
        no_phantom,
        |history| history.published.push(entry("a", 3)),
        "published: ",
    );
    refuses(
        no_phantom,
        |history| history.effects.push(entry("a", 3)),
        "effect of ",
    );
    let other_attempt = |history: &mut History| history.published[0].attempt = "second".to_owned();
    refuses(no_phantom, other_attempt, "second");
}

#[test]
fn a_first_delivery_that_overtakes_is_out_of_order() {
    refuses(
        first_deliveries_in_commit_order,
        |history| history.published.swap(0, 3),
        "key a, place 0",
    );
    // The other way round it is only a repetition.
    let mut repeated = good();
    repeated.published.push(entry("a", 1));
    first_deliveries_in_commit_order(&repeated).unwrap();
}

#[test]
fn effects_that_come_twice_or_overtake_are_told() {
    refuses(
        effects_once_in_order,
        |history| history.effects.swap(1, 2),
        "key a, place 0",
    );
    refuses(
        effects_once_in_order,
        |history| history.effects.push(entry("b", 2)),
        "key b, place 2",
    );
    refuses(
        effects_once_in_order,
        |history| history.effects.insert(1, entry("b", 1)),
        "key b, place 1",
    );
}

#[test]
fn an_outbox_that_holds_something_is_not_drained() {
    refuses(
        outbox_drained,
        |history| history.waiting = 3,
        "3 rows are left",
    );
}

#[test]
fn repetitions_are_told_where_there_must_be_none() {
    let mut history = good();
    assert!(each_published_once(&history).is_err());
    history.published = history.effects.clone();
    each_published_once(&history).unwrap();
}

#[test]
fn a_fence_that_stays_or_falls_is_told() {
    refuses(
        fences_rise,
        |history| history.ownership.push(taken(1, 2, "one")),
        "fence 2 of shard 1",
    );
    refuses(
        fences_rise,
        |history| history.ownership.push(taken(0, 0, "one")),
        "fence 0 of shard 0",
    );
}

#[test]
fn a_former_owner_that_writes_is_told() {
    refuses(
        removals_by_owners,
        |history| history.ownership.push(removed(1, "one")),
        "one removed rows of shard 1",
    );
    let lost_everything = |history: &mut History| {
        history
            .ownership
            .extend([taken(0, 2, "two"), removed(None, "one")]);
    };
    refuses(removals_by_owners, lost_everything, "owns nothing");
}
