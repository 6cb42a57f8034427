//! What customers hear of stock. Pure.

use commerce_contracts::{Availability, Sku, StockLevelChanged};

use crate::WAREHOUSE;

/// The stock of a SKU behind a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Level {
    pub(crate) sku: Sku,
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
    pub(crate) version: i64,
    /// What the change made available, or took.
    pub(crate) difference: i64,
}

impl Level {
    /// A row of stock on hand, reserved stock and version, behind a change of what is available.
    pub(crate) fn behind(
        sku: &Sku,
        (on_hand, reserved, version): (i64, i64, i64),
        difference: i64,
    ) -> Self {
        Self {
            sku: sku.clone(),
            on_hand,
            reserved,
            version,
            difference,
        }
    }

    pub(crate) const fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// Whether customers see the change: plentiful stock that orders take from stays silent.
    pub(crate) fn is_seen(&self) -> bool {
        let before = self.available() - self.difference;
        Availability::of(before) != Availability::of(self.available())
    }

    /// What others hear of it.
    pub(crate) fn event(&self, cause: &str) -> StockLevelChanged {
        StockLevelChanged {
            sku: self.sku.clone(),
            warehouse: WAREHOUSE.to_owned(),
            on_hand: self.on_hand,
            reserved: self.reserved,
            available: self.available(),
            version: self.version,
            cause: cause.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_where_customers_see_another_stock() {
        for (before, after, seen) in [
            (1_000_000, 999_999, false),
            (11, 10, false),
            (10, 9, true),
            (9, 1, false),
            (1, 0, true),
            (0, 1, true),
            (9, 10, true),
            (20, 0, true),
        ] {
            let level = Level::behind(&Sku::new("A"), (after + 5, 5, 2), after - before);
            assert_eq!(level.is_seen(), seen, "{before} -> {after}");
        }
    }
}
