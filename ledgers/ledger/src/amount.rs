//! Money: integers in a currency's smallest unit, never floats.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// An amount in the smallest unit of some currency.
///
/// In JSON and on the command line it is a decimal string without sign, point, leading zeros or
/// separators. Arithmetic is checked: there is no way to add two amounts that can wrap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u128);

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);

    /// An amount of so many smallest units.
    pub const fn new(units: u128) -> Self {
        Amount(units)
    }

    /// The number of smallest units.
    pub const fn units(self) -> u128 {
        self.0
    }

    /// Whether it is nothing.
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` when it does not fit 128 bits.
    pub fn checked_add(self, other: Amount) -> Option<Amount> {
        self.0.checked_add(other.0).map(Amount)
    }

    /// The sum, or as much as there can be when it does not fit 128 bits.
    pub fn saturating_add(self, other: Amount) -> Amount {
        Amount(self.0.saturating_add(other.0))
    }

    /// The difference, or `None` when `other` is larger.
    pub fn checked_sub(self, other: Amount) -> Option<Amount> {
        self.0.checked_sub(other.0).map(Amount)
    }

    /// The difference, or zero when `other` is larger.
    pub fn saturating_sub(self, other: Amount) -> Amount {
        Amount(self.0.saturating_sub(other.0))
    }

    /// The product, or `None` when it does not fit 128 bits.
    pub fn checked_mul(self, factor: u128) -> Option<Amount> {
        self.0.checked_mul(factor).map(Amount)
    }

    /// The amount in whole coins for a person, exact: 1234 with 3 decimals is `1.234`.
    pub fn to_decimal(self, decimals: u8) -> String {
        let digits = format!("{:0>width$}", self.0, width = usize::from(decimals) + 1);
        let (whole, part) = digits.split_at(digits.len() - usize::from(decimals));
        if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// It is no number in plain digits; its beginning.
    #[error(
        "{0:?} is not an amount: write the number of smallest units in plain digits, like \"1500\""
    )]
    NotPlain(String),
    /// There is no amount that large; its beginning.
    #[error("{0:?} is too large for an amount: the most is {max}", max = u128::MAX)]
    TooLarge(String),
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let plain = !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        let shown = || text.chars().take(60).collect();
        if !plain {
            return Err(AmountError::NotPlain(shown()));
        }
        // Digits alone fail for no other reason.
        text.parse().map(Amount).map_err(|_| AmountError::TooLarge(shown()))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_plain_digits_are_an_amount() {
        for bad in ["", "-1", "+1", "01", "1.0", "1e3", " 1", "1_000", "0x1", "１"] {
            assert!(bad.parse::<Amount>().is_err(), "{bad:?} was taken");
        }
        let too_large = "340282366920938463463374607431768211456";
        let why = too_large.parse::<Amount>().unwrap_err().to_string();
        assert!(why.ends_with(
            "is too large for an amount: the most is 340282366920938463463374607431768211455"
        ));
        assert_eq!(why.matches("340282366920938463463374607431768211455").count(), 1);
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(Amount::new(1234).to_decimal(3), "1.234");
        assert_eq!(Amount::new(4).to_decimal(6), "0.000004");
        assert_eq!(Amount::new(7).to_decimal(0), "7");
    }

    proptest! {
        #[test]
        fn text_and_back(units: u128) {
            let amount = Amount::new(units);
            prop_assert_eq!(amount.to_string().parse::<Amount>().unwrap(), amount);
            let json = serde_json::to_string(&amount).unwrap();
            prop_assert_eq!(serde_json::from_str::<Amount>(&json).unwrap(), amount);
        }
    }
}
