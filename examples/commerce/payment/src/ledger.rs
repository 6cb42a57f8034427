//! Double entry: each operation moves an amount between accounts, and its entries sum to zero.
//! Pure.

use commerce_contracts::Money;

use crate::intent::Kind;

/// The money that the provider holds for us, and its source.
const HELD: &str = "held";
const HELD_FROM: &str = "held_from_customer";
/// The money that the provider owes us, and that the customer paid.
const PROVIDER: &str = "provider";
const CUSTOMER: &str = "customer";

/// Accounts and amounts of an operation.
pub(crate) fn entries(kind: Kind, amount: Money) -> Vec<(&'static str, i64)> {
    let amount = amount.minor();
    match kind {
        Kind::Authorize => vec![(HELD, amount), (HELD_FROM, -amount)],
        Kind::Capture => vec![
            (HELD, -amount),
            (HELD_FROM, amount),
            (PROVIDER, amount),
            (CUSTOMER, -amount),
        ],
        Kind::Void => vec![(HELD, -amount), (HELD_FROM, amount)],
        Kind::Refund => vec![(PROVIDER, -amount), (CUSTOMER, amount)],
        // The money stays held.
        Kind::Reauthorize => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn entries_sum_to_zero_and_a_closed_payment_holds_nothing(minor in 1..=Money::MAX.minor(), life in 0..3_usize) {
            let amount = Money::from_minor(minor).unwrap();
            let (kinds, owed): (&[Kind], _) = [
                (&[Kind::Authorize, Kind::Void][..], 0),
                (&[Kind::Authorize, Kind::Capture], minor),
                (&[Kind::Authorize, Kind::Capture, Kind::Refund], 0),
            ][life];
            let mut balances: HashMap<&str, i64> = HashMap::new();
            for kind in kinds {
                prop_assert_eq!(entries(*kind, amount).iter().map(|(_, amount)| amount).sum::<i64>(), 0);
                for (account, amount) in entries(*kind, amount) {
                    *balances.entry(account).or_default() += amount;
                }
            }
            prop_assert_eq!(balances[HELD], 0);
            prop_assert_eq!(balances.get(PROVIDER).copied().unwrap_or_default(), owed);
        }
    }
}
