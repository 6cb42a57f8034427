//! A history without fault in which much went wrong.

use mainstay_history::{
    Blocked, Cursor, Effect, Entry, History, Left, Moment, Offset, Ownership, Place, Published,
    Reader, Removal, Sent,
};

pub(super) fn entry(key: &str, number: i64) -> Entry {
    Entry {
        key: Some(key.to_owned()),
        number,
        id: format!("{key}-{number}"),
        attempt: format!("first of {key}-{number}"),
    }
}

pub(super) fn at(topic: &str, partition: i32, offset: i64, entry: Entry) -> Published {
    Published {
        topic: topic.to_owned(),
        partition,
        offset,
        entry,
    }
}

pub(super) fn taken(shard: &str, fence: i64, by: &str) -> Ownership {
    Ownership::Taken {
        shard: shard.to_owned(),
        fence,
        by: by.to_owned(),
    }
}

pub(super) fn recorded(shard: &str, fence: Option<i64>, by: &str) -> Ownership {
    Ownership::Recorded {
        shard: Some(shard.to_owned()),
        fence,
        by: by.to_owned(),
    }
}

pub(super) fn sent(id: &str, shard: &str, fence: i64, by: &str) -> Sent {
    Sent {
        id: id.to_owned(),
        shard: shard.to_owned(),
        fence,
        by: by.to_owned(),
        recorded: false,
    }
}

pub(super) fn cursor(name: &str, position: i64) -> Cursor {
    Cursor {
        name: name.to_owned(),
        position,
    }
}

const fn moment(published: usize, effects: usize, offsets: usize) -> Moment {
    Moment {
        published,
        effects,
        offsets,
    }
}

fn stored(partition: i32, offset: i64, effects: usize) -> Offset {
    Offset {
        consumer: "billing".to_owned(),
        topic: "orders".to_owned(),
        partition,
        offset,
        seen: moment(9, effects, 0),
    }
}

/// Numbers of a key have a gap, as a rolled-back transaction leaves it. A relay was killed: a-1 was published twice. A
/// message without key was delayed. b-1 was refused for a while, p-1 cannot be handled and nobody has done anything about it.
pub(super) fn good() -> History {
    let delayed = Entry {
        key: None,
        ..entry("delayed", 1)
    };
    let [a1, a2, a4] = [1, 2, 4].map(|number| entry("a", number));
    let [b1, b2] = [1, 2].map(|number| entry("b", number));
    let [p1, p2] = [1, 2].map(|number| entry("p", number));
    let parcel = entry("parcel", 1);
    let billing = Place::Consumer("billing".to_owned());
    let done = [
        a1.clone(),
        a2.clone(),
        delayed.clone(),
        b1.clone(),
        b2.clone(),
        a4.clone(),
    ];
    let effect = |consumer: &str, entry: &Entry| Effect {
        consumer: consumer.to_owned(),
        entry: entry.clone(),
    };
    let reader = |consumer: &str, topic: &str| Reader {
        consumer: consumer.to_owned(),
        topic: topic.to_owned(),
    };
    let stop = |at, entry: &Entry, seen, lasting| Blocked {
        at,
        key: entry.key.clone(),
        id: entry.id.clone(),
        seen,
        lasting,
    };
    let left = |entry: &Entry| Left {
        at: billing.clone(),
        key: entry.key.clone(),
        id: entry.id.clone(),
    };
    History {
        committed: [&delayed, &a1, &b1, &a2, &a4, &p1, &p2, &b2, &parcel]
            .map(Clone::clone)
            .to_vec(),
        published: vec![
            at("orders", 0, 0, a1.clone()),
            at("orders", 0, 1, a1.clone()),
            at("orders", 0, 2, a2),
            at("orders", 1, 0, delayed),
            at("orders", 1, 1, b1.clone()),
            at("orders", 1, 2, b2),
            at("orders", 0, 3, p1.clone()),
            at("orders", 0, 4, a4),
            at("orders", 0, 5, p2.clone()),
            at("parcels", 0, 0, parcel.clone()),
        ],
        readers: vec![reader("billing", "orders"), reader("shipping", "parcels")],
        effects: (done.iter().map(|entry| effect("billing", entry)))
            .chain([effect("shipping", &parcel)])
            .collect(),
        ownership: ownership(),
        sends: sends(),
        offsets: vec![
            stored(0, 1, 1),
            stored(0, 3, 2),
            stored(1, 1, 3),
            stored(1, 3, 5),
        ],
        kept: Vec::new(),
        cursors: vec![
            cursor("progress", 1),
            cursor("another", 0),
            cursor("progress", 1),
            cursor("progress", 5),
        ],
        blocked: vec![
            stop(Place::Outbox, &b1, moment(1, 0, 0), false),
            stop(billing.clone(), &p1, moment(9, 5, 4), true),
        ],
        removals: vec![
            Removal::Row {
                id: a1.id.clone(),
                seen: moment(1, 0, 0),
            },
            Removal::ProcessedRecord {
                consumer: "billing".to_owned(),
                id: a1.id,
                seen: moment(9, 6, 4),
            },
        ],
        left: vec![left(&p1), left(&p2)],
    }
}

fn ownership() -> Vec<Ownership> {
    vec![
        taken("shard 0", 1, "one"),
        taken("shard 1", 1, "one"),
        recorded("shard 0", Some(1), "one"),
        Ownership::Recorded {
            shard: None,
            fence: None,
            by: "one".to_owned(),
        },
        taken("shard 1", 2, "two"),
        recorded("shard 1", Some(2), "two"),
        recorded("shard 0", None, "one"),
    ]
}

/// The former owner of shard 1 wakes up, and sends what it has in hand.
fn sends() -> Vec<Sent> {
    vec![
        sent("a-1", "shard 0", 1, "one"),
        sent("b-2", "shard 1", 2, "two"),
        sent("b-2", "shard 1", 1, "one"),
    ]
}
