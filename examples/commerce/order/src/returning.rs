//! What a customer returns of an order, and the money for it. Pure.
//!
//! Each piece gives back its price and its share of the line's tax. The shares of a SKU add up to its
//! tax exactly, in however many returns its pieces come. The shipping fee is not given back.

use std::collections::BTreeMap;

use commerce_contracts::{Money, MoneyError, Quantity, Sku};

use crate::order::Order;

/// Why an order does not take a return.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    #[error("{0} was not ordered")]
    NotOrdered(Sku),
    #[error("{wanted} of {sku}: at most {left} can come back")]
    TooMany { sku: Sku, wanted: i64, left: i64 },
    #[error(transparent)]
    Amount(#[from] MoneyError),
}

/// What was bought of a SKU, and what of it came back before.
#[derive(Clone, Copy, Default, Debug)]
struct Bought {
    pieces: i64,
    price: i64,
    tax: i64,
    returned: i64,
}

impl Bought {
    /// The money for so many pieces.
    fn worth(&self, pieces: i64) -> Result<Money, MoneyError> {
        let share =
            |returned: i64| i128::from(self.tax) * i128::from(returned) / i128::from(self.pieces);
        let tax = share(self.returned + pieces) - share(self.returned);
        let worth = i128::from(self.price) * i128::from(pieces) + tax;
        i64::try_from(worth).map_or(Err(MoneyError::Overflow), Money::from_minor)
    }
}

/// The money for `lines`, which name a SKU once each, if the order has that much to come back.
pub(crate) fn amount(order: &Order, lines: &[Quantity]) -> Result<Money, Refusal> {
    let bought = bought(order);
    let mut sum = Money::ZERO;
    for Quantity { sku, qty } in lines {
        let of_sku = bought
            .get(sku)
            .ok_or_else(|| Refusal::NotOrdered(sku.clone()))?;
        let left = of_sku.pieces - of_sku.returned;
        if *qty > left {
            let (sku, wanted) = (sku.clone(), *qty);
            return Err(Refusal::TooMany { sku, wanted, left });
        }
        sum = sum.plus(of_sku.worth(*qty)?)?;
    }
    Ok(sum)
}

fn bought(order: &Order) -> BTreeMap<&Sku, Bought> {
    let mut all: BTreeMap<&Sku, Bought> = BTreeMap::new();
    for line in order.placed.iter().flat_map(|placed| &placed.lines) {
        let bought = all.entry(&line.sku).or_default();
        bought.pieces += line.qty;
        bought.tax += line.tax_minor.minor();
        // All lines of a SKU have one price: they were priced together.
        bought.price = line.unit_price_minor.minor();
    }
    for Quantity { sku, qty } in order.returns.iter().flat_map(|it| &it.lines) {
        if let Some(bought) = all.get_mut(sku) {
            bought.returned += qty;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use commerce_contracts::OrderLine;
    use proptest::prelude::*;

    use super::*;
    use crate::order::{Return, tests::placed};

    fn line(line_no: u32, sku: &str, qty: i64, unit: i64, tax: i64) -> OrderLine {
        OrderLine {
            line_no,
            sku: Sku::new(sku),
            qty,
            unit_price_minor: Money::from_minor(unit).unwrap(),
            tax_minor: Money::from_minor(tax).unwrap(),
        }
    }

    fn some(qty: i64) -> Vec<Quantity> {
        let sku = Sku::new("A");
        vec![Quantity { sku, qty }]
    }

    proptest! {
        #[test]
        fn however_the_pieces_come_back_they_are_worth_what_was_paid_and_no_more_come(
            (first, second) in (1..50_i64, 1..50_i64),
            unit in 0..100_000_i64,
            taxes in (0..10_000_i64, 0..10_000_i64),
            parts in proptest::collection::vec(1..20_i64, 1..120),
        ) {
            let lines = vec![line(1, "A", first, unit, taxes.0), line(2, "A", second, unit, taxes.1)];
            let mut order = Order { placed: Some(crate::order::Placed { lines, ..placed() }), ..Order::default() };
            let (mut left, mut sum) = (first + second, 0);
            for (part, number) in parts.into_iter().chain([1; 100]).zip(0..) {
                let worth = amount(&order, &some(part));
                if part > left {
                    let (sku, wanted) = (Sku::new("A"), part);
                    prop_assert_eq!(worth, Err(Refusal::TooMany { sku, wanted, left }));
                    continue;
                }
                let worth = worth.unwrap();
                prop_assert!(worth.minor() >= unit * part);
                (left, sum) = (left - part, sum + worth.minor());
                order.returns.push(Return {
                    id: number.to_string(),
                    request_key: None,
                    lines: some(part),
                    amount: worth,
                    reason: String::new(),
                    refunded: None,
                });
            }
            prop_assert_eq!((left, sum), (0, unit * (first + second) + taxes.0 + taxes.1));
        }
    }
}
