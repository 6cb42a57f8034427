//! Each check on a history without fault, and on one that violates it.
#![expect(clippy::unwrap_used, reason = "test suite")]

mod damage;
mod good;
mod run;

use mainstay_history::{
    Blocked, Cursor, Effect, Entry, History, Kept, Left, Moment, Offset, Ownership, Place,
    Published, Reader, Removal,
    check::{self, ALL, Violation, violations},
};

use good::{at, cursor, entry, good, recorded, sent, taken};

/// An invariant, what must be said against it, and how the good history is damaged so that it does not hold.
type Damage = (&'static str, &'static str, fn(&mut History));

const DAMAGES: &[Damage] = &[
    ("no loss", "was not published", |history| {
        history.published.retain(|r| r.entry.id != "b-2");
    }),
    ("no loss", "has no effect on billing", |history| {
        history.effects.retain(|e| e.entry.id != "a-4");
    }),
    ("no loss", "has no effect on shipping", |history| {
        history.effects.retain(|e| e.consumer != "shipping");
    }),
    ("no loss", "is not left to it", |history| {
        history.left.retain(|left| left.id != "p-2");
    }),
    ("no loss", "has the id of another message", |history| {
        let id = history.committed[0].id.clone();
        history.committed[1].id = id;
    }),
    ("no phantom", "published: ", |history| {
        history.published.push(at("orders", 0, 6, entry("a", 3)));
    }),
    ("no phantom", "done: ", |history| {
        history.effects.push(done("billing", "a", 3));
    }),
    ("no phantom", "another attempt", |history| {
        history.published[0]
            .entry
            .attempt
            .push_str(": another attempt");
    }),
    (FIRST, "key a, place 0: a-2 came, a-1 was", |history| {
        let published = &mut history.published;
        [published[0].entry, published[1].entry] = [entry("a", 2), entry("a", 2)];
        published[2].entry = entry("a", 1);
    }),
    (FIRST, "key a, place 1: a-4 came, a-2 was", |history| {
        history.published.retain(|r| r.entry.id != "a-2");
    }),
    ("offsets never move back", "2 after 3", |history| {
        let mut back = history.offsets[1].clone();
        back.offset = 2;
        history.offsets.push(back);
    }),
    ("cursors never move back", "4 after 5", |history| {
        history.cursors.push(cursor("progress", 4));
    }),
    (FENCES, "token 2 of shard 1 after 2", |history| {
        history.ownership.push(taken("shard 1", 2, "two"));
    }),
    (FENCES, "token 0 of shard 0 after 1", |history| {
        history.ownership.push(taken("shard 0", 0, "one"));
    }),
    (
        "one owner per fencing token",
        "token 2 of shard 1: two, and three",
        |history| {
            history.ownership.push(taken("shard 1", 2, "three"));
        },
    ),
    (
        "one owner per fencing token",
        "token 1 of shard 0: one, and two",
        |history| {
            history.sends.push(sent("a-4", "shard 0", 1, "two"));
        },
    ),
    (OWNER, "one recorded under None for shard 1", |history| {
        history.ownership.push(recorded("shard 1", None, "one"));
    }),
    // By its name it owns the shard; what it shows is older.
    (OWNER, "two recorded under Some(1) for shard 1", |history| {
        history.ownership.push(recorded("shard 1", Some(1), "two"));
    }),
    (OWNER, "one, which owns nothing", |history| {
        history.ownership.push(taken("shard 0", 2, "two"));
        history.ownership.push(Ownership::Recorded {
            shard: None,
            fence: None,
            by: "one".to_owned(),
        });
    }),
    // Without a token no message is lost or overtaken: the new owner finds a record undone and sends again.
    (
        "nothing is sent that was recorded",
        "two sent b-2 of shard 1 again",
        |history| {
            let mut again = sent("b-2", "shard 1", 2, "two");
            again.recorded = true;
            history.sends.push(again);
        },
    ),
    (ONCE, "billing did b-2 2 times", |history| {
        history.effects.push(done("billing", "b", 2));
    }),
    (EFFECTS, "key a, place 0: a-2 came to billing", |history| {
        history.effects.swap(0, 1);
    }),
    (EFFECTS, "key b, place 0: b-2 came to billing", |history| {
        history.effects.retain(|e| e.entry.id != "b-1");
    }),
    (DURABLE, "a-1 at 0 had no effect", |history| {
        history.offsets[0].seen.effects = 0;
    }),
    // As a commit of all that was read.
    (DURABLE, "p-1 at 3 had no effect", |history| {
        let mut beyond = history.offsets[1].clone();
        beyond.offset = 4;
        beyond.seen = history.moment();
        history.offsets.push(beyond);
    }),
    (
        OVERTAKEN,
        "p-2 of key p overtook p-1 at Consumer(\"billing\")",
        |history| {
            history.effects.push(done("billing", "p", 2));
        },
    ),
    (
        OVERTAKEN,
        "b-2 of key b overtook b-1 at Outbox",
        |history| {
            history.published[4].entry = entry("b", 2);
            history.published[5].entry = entry("b", 1);
        },
    ),
    (ITSELF, "a-4 of key Some(\"a\") is left", |history| {
        history.effects.retain(|e| e.entry.id != "a-4");
        history.left.push(left("a", 4));
    }),
    // A message that precedes the blocked one does not wait behind it.
    (ITSELF, "p-1 of key Some(\"p\") is left", |history| {
        "p-2".clone_into(&mut history.blocked[1].id);
    }),
    (
        "retention removes nothing unpublished",
        "a-2 was removed",
        |history| {
            history.removals.push(Removal::Row {
                id: "a-2".to_owned(),
                seen: Moment {
                    published: 2,
                    effects: 9,
                    offsets: 9,
                },
            });
        },
    ),
    (
        "retention prunes nothing redeliverable",
        "billing pruned a-4, which lies at 4",
        |history| {
            history.removals.push(Removal::ProcessedRecord {
                consumer: "billing".to_owned(),
                id: "a-4".to_owned(),
                seen: history.moment(),
            });
        },
    ),
    // The first record cannot be delivered again, the second can: the stored offset was 1.
    (
        "retention prunes nothing redeliverable",
        "billing pruned a-1, which lies at 1",
        |history| {
            history.removals[1] = Removal::ProcessedRecord {
                consumer: "billing".to_owned(),
                id: "a-1".to_owned(),
                seen: Moment {
                    offsets: 1,
                    ..history.moment()
                },
            };
        },
    ),
    (
        "drained after heal",
        "c-1 of key Some(\"c\") is left at Outbox",
        |history| {
            history.left.push(Left {
                at: Place::Outbox,
                ..left("c", 1)
            });
        },
    ),
    // The cause was removed, and the key has not gone on.
    (
        "drained after heal",
        "p-2 of key Some(\"p\") is left",
        |history| {
            history.blocked[1].lasting = false;
        },
    ),
];

const FIRST: &str = "first deliveries of a key in the order of its commits";
const FENCES: &str = "the fencing token rises with each owner";
const OWNER: &str = "only the owner records";
const ONCE: &str = "an effect once per consumer and message";
const EFFECTS: &str = "effects of a key in the order of its commits";
const DURABLE: &str = "offset committed, effect durable";
const OVERTAKEN: &str = "no message overtakes a blocked key";
const ITSELF: &str = "a blocked key blocks no other key";

fn done(consumer: &str, key: &str, number: i64) -> Effect {
    Effect {
        consumer: consumer.to_owned(),
        entry: entry(key, number),
    }
}

fn left(key: &str, number: i64) -> Left {
    let entry = entry(key, number);
    Left {
        at: Place::Consumer("billing".to_owned()),
        key: entry.key,
        id: entry.id,
    }
}

#[test]
fn a_history_without_fault_passes() {
    assert_eq!(violations(&good()), []);
    assert_eq!(violations(&History::default()), []);
}

#[test]
fn each_damage_is_found_by_its_check() {
    for (invariant, says, damage) in DAMAGES {
        let mut history = good();
        damage(&mut history);
        let told = violations(&history);
        let told: Vec<String> = (told.iter())
            .filter(|violation| violation.invariant() == *invariant)
            .flat_map(Violation::cases)
            .cloned()
            .collect();
        assert!(
            told.iter().any(|case| case.contains(says)),
            "{invariant}: {says:?} is not in {told:?}"
        );
    }
}

#[test]
fn each_check_has_a_history_that_violates_it() {
    for (invariant, _) in ALL {
        let told = DAMAGES.iter().any(|(damaged, ..)| damaged == invariant);
        assert!(told, "no history here violates {invariant:?}");
    }
}

#[test]
fn names_differ() {
    let mut names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
}

#[test]
fn repetitions_are_found_in_a_run_without_crashes() {
    let mut history = good();
    assert_eq!(check::each_published_once(&history).len(), 1);
    history.published.remove(1);
    assert_eq!(check::each_published_once(&history), Vec::<String>::new());
}

#[test]
fn a_violation_shows_some_cases_and_counts_all() {
    let mut history = good();
    let cursors = (1..=12).flat_map(|n| [cursor("up", n), cursor("up", 0)]);
    history.cursors = cursors.collect::<Vec<Cursor>>();
    let told = violations(&history);
    let text = told.first().unwrap().to_string();
    assert!(
        text.starts_with("violated: cursors never move back; 12 cases\n"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 12, "{text}");
    assert!(text.ends_with("\n  …"), "{text}");
}

/// A block is noted after its attempt failed. By then another process may have handled the message
/// and later ones.
#[test]
fn a_block_that_is_noted_late_is_no_overtaking() {
    let mut history = good();
    history.blocked.push(Blocked {
        at: Place::Consumer("billing".to_owned()),
        key: Some("a".to_owned()),
        id: "a-2".to_owned(),
        seen: Moment {
            effects: 2,
            ..history.moment()
        },
        lasting: false,
    });
    assert_eq!(violations(&history), []);
}

/// A stored offset may pass a message that is in the dead letter queue by then, and no other.
#[test]
fn a_message_in_the_dead_letter_queue_is_durable_from_then_on() {
    let entry = Entry {
        id: "a".to_owned(),
        ..Entry::default()
    };
    let stored = |offset| Offset {
        consumer: "billing".to_owned(),
        topic: "orders".to_owned(),
        partition: 0,
        offset,
        seen: Moment::default(),
    };
    let kept = |offsets| Kept {
        consumer: "billing".to_owned(),
        key: None,
        id: "a".to_owned(),
        seen: Moment {
            offsets,
            ..Moment::default()
        },
    };
    let history = |offsets| History {
        committed: vec![entry.clone()],
        published: vec![Published {
            topic: "orders".to_owned(),
            partition: 0,
            offset: 0,
            entry: entry.clone(),
        }],
        readers: vec![Reader {
            consumer: "billing".to_owned(),
            topic: "orders".to_owned(),
        }],
        offsets: vec![stored(1)],
        kept: vec![kept(offsets)],
        ..History::default()
    };
    assert!(check::offsets_behind_effects(&history(0)).is_empty());
    assert_eq!(check::offsets_behind_effects(&history(1)).len(), 1);
    let left = history(0).undone();
    assert_eq!(left.len(), 1, "{left:?}");
}
