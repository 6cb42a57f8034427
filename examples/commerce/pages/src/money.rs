//! Amounts as people read them.

/// An amount in minor units, with its currency. Each currency of the shop has two digits.
pub(crate) fn amount(minor: i64, currency: &str) -> String {
    format!("{} {currency}", digits(minor))
}

/// An amount without its currency.
pub(crate) fn digits(minor: i64) -> String {
    let sign = if minor < 0 { "−" } else { "" };
    let minor = minor.unsigned_abs();
    format!("{sign}{}.{:02}", minor / 100, minor % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_has_two_digits_and_a_sign() {
        assert_eq!(amount(1_299, "EUR"), "12.99 EUR");
        assert_eq!(digits(-5), "−0.05");
        assert_eq!(digits(i64::MIN), "−92233720368547758.08");
    }
}
