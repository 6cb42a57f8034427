//! The states of a reservation. Pure.

use std::collections::BTreeMap;

use commerce_contracts::{Quantity, Sku};

/// Quantities by SKU, in the order in which stock is taken.
pub(crate) type Lines = BTreeMap<Sku, i64>;

/// Sums quantities by SKU: two lines of one SKU are one demand.
pub(crate) fn sum(lines: &[Quantity]) -> Lines {
    let mut sums = Lines::new();
    for Quantity { sku, qty } in lines {
        let sum = sums.entry(sku.clone()).or_default();
        // A sum beyond i64 exceeds every stock level.
        *sum = sum.saturating_add(*qty);
    }
    sums
}

/// The state of a reservation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Stock is kept for the order until the hold expires.
    Held,
    /// Stock is kept until it is shipped or released.
    Firm,
    /// The stock left with the shipment. Terminal.
    Committed,
    /// The stock was released. Terminal.
    Released,
    /// The hold was not extended in time, and the stock was released.
    Expired,
    /// Not enough stock was available. Terminal.
    Refused,
}

impl State {
    const ALL: [Self; 6] = [
        Self::Held,
        Self::Firm,
        Self::Committed,
        Self::Released,
        Self::Expired,
        Self::Refused,
    ];

    /// The name in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Firm => "firm",
            Self::Committed => "committed",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Refused => "refused",
        }
    }

    /// Reads [`name`](Self::name).
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether stock is reserved for it, which can be released or shipped.
    pub(crate) const fn holds_stock(self) -> bool {
        matches!(self, Self::Held | Self::Firm)
    }
}

/// How a hold is extended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extension {
    /// The stock is still held.
    Keep,
    /// The hold has expired: take the stock anew, if there is any.
    TakeAnew,
    /// There is nothing to extend.
    Refuse,
}

/// Decides about the extension of an order's hold.
pub(crate) const fn extend(state: Option<State>) -> Extension {
    match state {
        Some(State::Held | State::Firm) => Extension::Keep,
        Some(State::Expired) => Extension::TakeAnew,
        None | Some(State::Committed | State::Released | State::Refused) => Extension::Refuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(quantities: &[(&str, i64)]) -> Lines {
        let line = |(sku, qty): &(&str, i64)| Quantity {
            sku: Sku::new(*sku),
            qty: *qty,
        };
        sum(&quantities.iter().map(line).collect::<Vec<_>>())
    }

    #[test]
    fn lines_of_one_sku_are_one_demand() {
        let summed = lines(&[("b", 2), ("a", 1), ("b", 2)]);
        assert_eq!(summed, [(Sku::new("a"), 1), (Sku::new("b"), 4)].into());
        assert_eq!(
            lines(&[("a", i64::MAX), ("a", 9)])[&Sku::new("a")],
            i64::MAX
        );
    }

    /// To give stock back twice, or to ship what was given back, would invent stock.
    #[test]
    fn only_a_hold_is_released_or_shipped() {
        let holding = State::ALL.into_iter().filter(|state| state.holds_stock());
        assert_eq!(holding.collect::<Vec<_>>(), [State::Held, State::Firm]);
    }

    #[test]
    fn a_hold_is_kept_and_an_expired_one_is_taken_anew() {
        assert_eq!(extend(Some(State::Held)), Extension::Keep);
        assert_eq!(extend(Some(State::Firm)), Extension::Keep);
        assert_eq!(extend(Some(State::Expired)), Extension::TakeAnew);
        for state in [State::Committed, State::Released, State::Refused] {
            assert_eq!(extend(Some(state)), Extension::Refuse, "{state:?}");
        }
        assert_eq!(extend(None), Extension::Refuse);
    }

    #[test]
    fn names_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
        }
    }
}
