//! What an order adds to the counts, and the hash of all counts. Pure.

use std::collections::{BTreeMap, btree_map::Entry};

use commerce_chassis::rfc3339;

use crate::fact::Fact;

/// The stages of the funnel: the way of an order, and then where orders leave it.
pub(crate) const STAGES: [&str; 11] = [
    "placed",
    "authorized",
    "confirmed",
    "dispatched",
    "delivered",
    "completed",
    "out_of_stock",
    "declined",
    "cancelled",
    "returned",
    "refunded",
];

/// By what orders are counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Dimension {
    /// Every order, by its status.
    Status,
    /// What confirmed orders sell, by SKU.
    Sku,
    /// Every order, by each stage that it has reached.
    Stage,
}

impl Dimension {
    pub(crate) const ALL: [Self; 3] = [Self::Status, Self::Sku, Self::Stage];

    /// The name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Sku => "sku",
            Self::Stage => "stage",
        }
    }
}

/// What is counted: the orders that were placed on one day.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Cell {
    /// In UTC, such as `2026-11-29`.
    pub(crate) day: String,
    pub(crate) dimension: Dimension,
    pub(crate) currency: String,
    /// The status, the SKU or the stage.
    pub(crate) member: String,
}

/// How many, and how much.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Count {
    pub(crate) orders: i64,
    pub(crate) pieces: i64,
    pub(crate) amount_minor: i64,
}

impl Count {
    const fn is_zero(&self) -> bool {
        self.orders == 0 && self.pieces == 0 && self.amount_minor == 0
    }
}

/// Counts by cell, without zeros.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Counts(BTreeMap<Cell, Count>);

impl Counts {
    /// Counts an order, if it is known when it was placed.
    pub(crate) fn add_order(&mut self, fact: &Fact) {
        self.change_order(fact, 1);
    }

    /// The reverse.
    pub(crate) fn remove_order(&mut self, fact: &Fact) {
        self.change_order(fact, -1);
    }

    fn change_order(&mut self, fact: &Fact, sign: i64) {
        let Some(placed) = &fact.placed else {
            return;
        };
        let day = day(placed.at);
        let mut add = |dimension, member: &str, pieces: i64, amount_minor: i64| {
            let cell = Cell {
                day: day.clone(),
                dimension,
                currency: placed.currency.clone(),
                member: member.to_owned(),
            };
            let count = Count {
                orders: sign,
                pieces: sign * pieces,
                amount_minor: sign * amount_minor,
            };
            self.add(cell, count);
        };
        let pieces = placed.lines.values().map(|line| line.qty).sum();
        add(Dimension::Status, fact.status(), pieces, placed.total_minor);
        for stage in reached(fact) {
            add(Dimension::Stage, stage, 0, 0);
        }
        if fact.confirmed_at.is_some() && fact.cancelled_at.is_none() {
            for (sku, line) in &placed.lines {
                add(Dimension::Sku, sku, line.qty, line.net_minor);
            }
        }
    }

    /// Adds to one cell.
    pub(crate) fn add(&mut self, cell: Cell, count: Count) {
        match self.0.entry(cell) {
            Entry::Vacant(free) if !count.is_zero() => {
                free.insert(count);
            }
            Entry::Vacant(_) => {}
            Entry::Occupied(mut taken) => {
                let sum = taken.get_mut();
                sum.orders += count.orders;
                sum.pieces += count.pieces;
                sum.amount_minor += count.amount_minor;
                if sum.is_zero() {
                    taken.remove();
                }
            }
        }
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&Cell, &Count)> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, cell: &Cell) -> Option<&Count> {
        self.0.get(cell)
    }

    /// Equal counts have equal hashes, on every database.
    pub(crate) fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (cell, count) in &self.0 {
            let Cell {
                day,
                dimension,
                currency,
                member,
            } = cell;
            let Count {
                orders,
                pieces,
                amount_minor,
            } = count;
            let dimension = dimension.name();
            let line = format!(
                "{day}\t{dimension}\t{currency}\t{member}\t{orders}\t{pieces}\t{amount_minor}\n"
            );
            hasher.update(line.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// The day of a time, in UTC.
pub(crate) fn day(at: i64) -> String {
    let mut text = rfc3339(at);
    text.truncate(10);
    text
}

fn reached(fact: &Fact) -> impl Iterator<Item = &'static str> {
    let reached = [
        true,
        fact.authorized_at.is_some(),
        fact.confirmed_at.is_some(),
        fact.dispatched_at.is_some(),
        fact.delivered_at.is_some(),
        fact.completed_at.is_some(),
        fact.out_of_stock_at.is_some(),
        fact.declined_at.is_some(),
        fact.cancelled_at.is_some(),
        fact.returned_at.is_some(),
        fact.refunded_minor > 0,
    ];
    let stages = STAGES.into_iter().zip(reached);
    stages.filter_map(|(stage, is_reached)| is_reached.then_some(stage))
}
