//! Money: whole minor units (cents) of one currency, with checked arithmetic.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// ISO 4217 currencies that the shop sells in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Currency {
    /// Euro.
    Eur,
    /// US dollar.
    Usd,
    /// Pound sterling.
    Gbp,
}

impl Currency {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Eur, Self::Usd, Self::Gbp];

    /// The three letters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Eur => "EUR",
            Self::Usd => "USD",
            Self::Gbp => "GBP",
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, MoneyError> {
        Self::ALL
            .into_iter()
            .find(|currency| currency.code() == code)
            .ok_or(MoneyError::UnknownCurrency)
    }
}

/// An amount of at most 2⁵³ − 1 minor units, positive or negative, so that every JSON reader reads
/// it exactly.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, Debug,
)]
#[serde(try_from = "i64", into = "i64")]
pub struct Money(i64);

impl Money {
    /// Zero.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// An amount in minor units.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond [`MAX`](Self::MAX), positive or negative.
    pub const fn from_minor(minor: i64) -> Result<Self, MoneyError> {
        if minor > Self::MAX.0 || minor < -Self::MAX.0 {
            return Err(MoneyError::Overflow);
        }
        Ok(Self(minor))
    }

    /// The amount in minor units.
    #[must_use]
    pub const fn minor(self) -> i64 {
        self.0
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub const fn plus(self, other: Self) -> Result<Self, MoneyError> {
        // Two amounts of 53 bits each fit in 64.
        Self::from_minor(self.0 + other.0)
    }

    /// The price of `quantity` pieces.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub const fn times(self, quantity: i64) -> Result<Self, MoneyError> {
        match self.0.checked_mul(quantity) {
            Some(minor) => Self::from_minor(minor),
            None => Err(MoneyError::Overflow),
        }
    }

    /// The tax of `percent` per cent, to be added to the amount; rounded half up.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub const fn percent(self, percent: i64) -> Result<Self, MoneyError> {
        match self.0.checked_mul(percent) {
            Some(scaled) => Self::from_minor((scaled + 50).div_euclid(100)),
            None => Err(MoneyError::Overflow),
        }
    }
}

impl TryFrom<i64> for Money {
    type Error = MoneyError;

    fn try_from(minor: i64) -> Result<Self, MoneyError> {
        Self::from_minor(minor)
    }
}

impl From<Money> for i64 {
    fn from(money: Money) -> Self {
        money.0
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let minor = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", minor / 100, minor % 100)
    }
}

/// A calculation with money failed.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error, Debug)]
#[non_exhaustive]
pub enum MoneyError {
    /// The amount is too large.
    #[error("the amount is larger than {}", Money::MAX)]
    Overflow,
    /// The shop does not sell in this currency.
    #[error("unknown currency")]
    UnknownCurrency,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_is_exact_or_refused(minor in -Money::MAX.0..=Money::MAX.0, quantity in any::<i64>()) {
            let exact = i128::from(minor) * i128::from(quantity);
            match Money::from_minor(minor).unwrap().times(quantity) {
                Ok(product) => prop_assert_eq!(i128::from(product.minor()), exact),
                Err(error) => {
                    prop_assert_eq!(error, MoneyError::Overflow);
                    prop_assert!(exact.abs() > i128::from(Money::MAX.0));
                }
            }
        }

        #[test]
        fn plus_is_exact_or_refused(a in -Money::MAX.0..=Money::MAX.0, b in -Money::MAX.0..=Money::MAX.0) {
            let exact = i128::from(a) + i128::from(b);
            match Money(a).plus(Money(b)) {
                Ok(sum) => prop_assert_eq!(i128::from(sum.minor()), exact),
                Err(_) => prop_assert!(exact.abs() > i128::from(Money::MAX.0)),
            }
        }

        #[test]
        fn percent_is_off_by_less_than_one_unit(minor in 0..1_i64 << 40, percent in 0..100_i64) {
            let tax = Money(minor).percent(percent).unwrap().minor();
            prop_assert!((tax * 100 - minor * percent).abs() <= 50);
        }

        #[test]
        fn json_is_the_plain_number(minor in any::<i64>()) {
            let read: Result<Money, _> = serde_json::from_str(&minor.to_string());
            prop_assert_eq!(read.ok(), Money::from_minor(minor).ok());
        }
    }

    #[test]
    fn only_known_currencies_are_read() {
        assert_eq!("EUR".parse(), Ok(Currency::Eur));
        assert_eq!("eur".parse::<Currency>(), Err(MoneyError::UnknownCurrency));
    }
}
