//! The price of an order. Pure: prices come from the price book, never from the request.

use commerce_contracts::{Money, MoneyError, OrderLine, Sku};

/// Shipping fee of every order, in minor units of its currency.
const SHIPPING_MINOR: i64 = 499;

/// The price of one SKU in one currency, from the price book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Price {
    /// The price of one piece, without tax.
    pub(crate) unit: Money,
    /// Tax in per cent.
    pub(crate) tax_percent: i64,
}

/// A priced order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Quote {
    pub(crate) lines: Vec<OrderLine>,
    /// Sum of the lines without tax.
    pub(crate) subtotal: Money,
    pub(crate) shipping: Money,
    /// Sum of the lines' tax.
    pub(crate) tax: Money,
    pub(crate) discount: Money,
    /// The amount that the customer pays.
    pub(crate) total: Money,
}

/// Prices `lines` of SKU, quantity and price, in their order.
pub(crate) fn quote(
    lines: impl IntoIterator<Item = (Sku, i64, Price)>,
) -> Result<Quote, MoneyError> {
    let (mut subtotal, mut tax) = (Money::ZERO, Money::ZERO);
    let mut priced = Vec::new();
    for (line_no, (sku, qty, price)) in (1..).zip(lines) {
        let line = price.unit.times(qty)?;
        let line_tax = line.percent(price.tax_percent)?;
        subtotal = subtotal.plus(line)?;
        tax = tax.plus(line_tax)?;
        priced.push(OrderLine {
            line_no,
            sku,
            qty,
            unit_price_minor: price.unit,
            tax_minor: line_tax,
        });
    }
    let shipping = Money::from_minor(SHIPPING_MINOR)?;
    Ok(Quote {
        lines: priced,
        subtotal,
        shipping,
        tax,
        discount: Money::ZERO,
        total: subtotal.plus(tax)?.plus(shipping)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn line()(unit in 0..1_i64 << 50, qty in 1..1_i64 << 20, tax_percent in 0..30_i64) -> (Sku, i64, Price) {
            (Sku::new("S"), qty, Price { unit: Money::from_minor(unit).unwrap(), tax_percent })
        }
    }

    proptest! {
        #[test]
        fn a_quote_adds_up_exactly_or_is_refused(lines in proptest::collection::vec(line(), 1..8)) {
            let exact: i128 = lines.iter().map(|(_, qty, price)| i128::from(price.unit.minor()) * i128::from(*qty)).sum();
            match quote(lines) {
                Ok(quote) => {
                    prop_assert_eq!(i128::from(quote.subtotal.minor()), exact);
                    let taxes: i64 = quote.lines.iter().map(|line| line.tax_minor.minor()).sum();
                    prop_assert_eq!(quote.tax.minor(), taxes);
                    prop_assert_eq!(quote.total.minor(), quote.subtotal.minor() + quote.tax.minor() + quote.shipping.minor());
                }
                Err(_) => prop_assert!(exact * 130 / 100 + 499 + 8 > i128::from(Money::MAX.minor())),
            }
        }
    }
}
