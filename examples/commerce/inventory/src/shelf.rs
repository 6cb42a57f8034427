//! Decides which orders get stock, one order after the other, on levels that were read once. Pure.

use std::collections::{BTreeMap, HashMap};

use commerce_contracts::{Shortage, Sku};

/// The stock of one SKU.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Level {
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
}

impl Level {
    const fn available(self) -> i64 {
        self.on_hand.saturating_sub(self.reserved)
    }
}

/// The levels of some SKUs, and the quantities held since they were read.
#[derive(Clone, Default, Debug)]
pub(crate) struct Shelf {
    levels: HashMap<Sku, Level>,
    held: BTreeMap<Sku, i64>,
}

impl Shelf {
    pub(crate) fn new(levels: HashMap<Sku, Level>) -> Self {
        Self {
            levels,
            held: BTreeMap::new(),
        }
    }

    /// Holds all of `wanted`, or nothing and returns the shortages.
    pub(crate) fn hold(&mut self, wanted: &BTreeMap<Sku, i64>) -> Result<(), Vec<Shortage>> {
        let shortages: Vec<Shortage> = wanted
            .iter()
            .filter_map(|(sku, requested)| {
                let level = self.levels.get(sku).copied().unwrap_or_default();
                let available = level.available();
                (available < *requested).then(|| Shortage {
                    sku: sku.clone(),
                    requested: *requested,
                    available,
                })
            })
            .collect();
        if !shortages.is_empty() {
            return Err(shortages);
        }
        for (sku, quantity) in wanted {
            if let Some(level) = self.levels.get_mut(sku) {
                level.reserved += quantity;
                *self.held.entry(sku.clone()).or_default() += quantity;
            }
        }
        Ok(())
    }

    /// The held quantities by SKU, sorted.
    pub(crate) const fn held(&self) -> &BTreeMap<Sku, i64> {
        &self.held
    }
}

/// Sums quantities by SKU: two lines of one SKU are one demand.
pub(crate) fn sum<'a>(lines: impl IntoIterator<Item = (&'a Sku, i64)>) -> BTreeMap<Sku, i64> {
    let mut sums: BTreeMap<Sku, i64> = BTreeMap::new();
    for (sku, quantity) in lines {
        let sum = sums.entry(sku.clone()).or_default();
        // A sum beyond i64 exceeds every stock level.
        *sum = sum.saturating_add(quantity);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sku(number: u8) -> Sku {
        Sku::new(format!("S{number}"))
    }

    proptest! {
        #[test]
        fn never_more_is_held_than_there_is(
            stock in proptest::collection::vec(0..20_i64, 3),
            orders in proptest::collection::vec(proptest::collection::vec((0..4_u8, 1..8_i64), 1..5), 0..30),
        ) {
            let levels = (0..).map(sku).zip(stock.iter().map(|on_hand| Level { on_hand: *on_hand, reserved: 0 })).collect();
            let mut shelf = Shelf::new(levels);
            let mut expected: BTreeMap<Sku, i64> = BTreeMap::new();
            for order in orders {
                let lines: Vec<(Sku, i64)> = order.into_iter().map(|(number, quantity)| (sku(number), quantity)).collect();
                let wanted = sum(lines.iter().map(|(sku, quantity)| (sku, *quantity)));
                let before = shelf.clone();
                match shelf.hold(&wanted) {
                    Ok(()) => for (sku, quantity) in wanted { *expected.entry(sku).or_default() += quantity; },
                    Err(shortages) => {
                        prop_assert!(!shortages.is_empty());
                        prop_assert_eq!(shelf.held(), before.held(), "all or nothing");
                    }
                }
            }
            prop_assert_eq!(shelf.held(), &expected);
            for (sku, held) in shelf.held() {
                prop_assert!(*held <= shelf.levels[sku].on_hand);
            }
        }
    }

    /// A shelf with three pieces of SKU 1.
    fn three_pieces() -> Shelf {
        let level = Level {
            on_hand: 3,
            reserved: 0,
        };
        Shelf::new([(sku(1), level)].into())
    }

    #[test]
    fn lines_of_one_sku_are_one_demand() {
        let mut shelf = three_pieces();
        let wanted = sum([(&sku(1), 2), (&sku(1), 2)]);
        let shortages = shelf.hold(&wanted).unwrap_err();
        assert_eq!((shortages[0].requested, shortages[0].available), (4, 3));
    }

    #[test]
    fn a_demand_beyond_numbers_is_short() {
        let mut shelf = three_pieces();
        assert!(
            shelf
                .hold(&sum([(&sku(1), i64::MAX), (&sku(1), 9)]))
                .is_err()
        );
    }
}
