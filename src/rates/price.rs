//! From the price that a source writes to a ratio of two integers, exactly. No number here is ever
//! a float: what does not fit is refused.

use crate::terms::Rate;
use std::str::FromStr;

/// The longest price that is read, in bytes.
const TEXT_BYTES_MAX: usize = 40;

/// The most digits of a price, zeros at its ends left out.
const DIGITS_MAX: usize = 36;

/// The most that a feed may say of how many digits stand behind the point.
const DECIMALS_MAX: u8 = 38;

/// A price above zero, as it was written: `digits * 10^-places`. The last digit is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    digits: u128,
    places: i32,
}

/// How a price becomes a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Units {
    /// How many decimals a whole coin of the currency has; at most 38, as of the next.
    pub currency: u8,
    /// How many a whole coin of the default currency has.
    pub default: u8,
    /// Whether the price is of a whole coin of the default currency, in whole coins of the
    /// currency. Else it is of a whole coin of the currency, in whole coins of the default one.
    pub is_inverted: bool,
    /// How many places behind the point count. The rest is rounded so that the rate is lower,
    /// which is the buyer's favour. `None`: all do.
    pub places: Option<u8>,
}

impl Price {
    /// The price that a feed tells: `answer * 10^-decimals`.
    ///
    /// # Errors
    /// Why it is none, as a sentence.
    pub fn of(answer: i128, decimals: u8) -> Result<Self, String> {
        if decimals > DECIMALS_MAX {
            return Err(format!(
                "a price with {decimals} decimals is none, {DECIMALS_MAX} at most"
            ));
        }
        let digits =
            u128::try_from(answer).map_err(|_| format!("the price {answer} is negative"))?;
        Self::new(digits, decimals.into())
    }

    /// The currency's smallest units for one smallest unit of the default currency:
    /// `10^currency / (price * 10^default)`, or inverted `price * 10^currency / 10^default`; reduced.
    ///
    /// # Errors
    /// Why there is none, as a sentence: it rounds to nothing, or one of the two numbers is not
    /// below 2^63.
    pub fn rate(&self, units: &Units) -> Result<Rate, String> {
        let Price { digits, places } = self.rounded(units)?;
        let (places, scale) = (places, i32::from(units.currency) - i32::from(units.default));
        let (tens, top, bottom) = match units.is_inverted {
            true => (scale - places, digits, 1),
            false => (scale + places, 1, digits),
        };
        let power = 10_u128.checked_pow(tens.unsigned_abs());
        let ratio = power.and_then(|power| match tens > 0 {
            true => Some((top.checked_mul(power)?, bottom)),
            false => Some((top, bottom.checked_mul(power)?)),
        });
        let rate = ratio.map(|(numerator, denominator)| Rate::reduced(numerator, denominator));
        rate.filter(Rate::is_plain).ok_or_else(|| {
            "the rate does not fit two numbers below 2^63: say with `places` how many places \
             behind the point of the price count"
                .to_owned()
        })
    }

    /// In milliseconds, where this is a time since 1970: in seconds below 10^11, which is the year
    /// 5138, else in milliseconds. `None` beyond all time.
    pub(super) fn as_time_ms(&self) -> Option<u64> {
        let seconds = self.times_ten_to(0)?;
        let ms = if seconds < 100_000_000_000 { self.times_ten_to(3)? } else { seconds };
        u64::try_from(ms).ok()
    }

    /// `price * 10^tens`, rounded down.
    fn times_ten_to(&self, tens: i32) -> Option<u128> {
        let tens = tens - self.places;
        match 10_u128.checked_pow(tens.unsigned_abs()) {
            Some(power) if tens >= 0 => self.digits.checked_mul(power),
            Some(power) => Some(self.digits / power),
            None if tens >= 0 => None,
            None => Some(0),
        }
    }

    fn new(digits: u128, places: i32) -> Result<Self, String> {
        if digits == 0 {
            return Err("the price is zero".to_owned());
        }
        let (mut digits, mut places) = (digits, places);
        while digits.is_multiple_of(10) {
            (digits, places) = (digits / 10, places - 1);
        }
        Ok(Price { digits, places })
    }

    /// The places that count.
    fn rounded(&self, units: &Units) -> Result<Self, String> {
        let kept = units.places.map_or(self.places, i32::from);
        if self.places <= kept {
            return Ok(*self);
        }
        let down = self.times_ten_to(kept).unwrap_or_default();
        // A digit was lost, as the last one is not zero.
        let digits = if units.is_inverted { down } else { down.saturating_add(1) };
        Self::new(digits, kept).map_err(|_| format!("with {kept} places the price is zero"))
    }
}

impl FromStr for Price {
    type Err = String;

    /// Digits, with at most one point among them: `3012.55`, `0.5`, `12`.
    fn from_str(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(TEXT_BYTES_MAX).collect();
        let wrong = |why: &str| Err(format!("{shown:?} is no price: {why}"));
        if text.len() > TEXT_BYTES_MAX {
            return wrong("it is too long");
        }
        if text.starts_with('-') {
            return wrong("it is negative");
        }
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if text.starts_with(|c: char| c.is_ascii_digit()) && text.contains(['e', 'E']) {
            return wrong("it has an exponent, and only digits with a point are read");
        }
        if !is_digits(whole) || !is_digits(part) {
            return wrong("expected digits with at most one point among them, like 3012.55");
        }
        if whole.len() > 1 && whole.starts_with('0') {
            return wrong("it begins with a zero");
        }
        let part = part.trim_end_matches('0');
        let digits = format!("{whole}{part}");
        let digits = digits.trim_start_matches('0');
        match digits.len() {
            0 => wrong("it is zero"),
            1..=DIGITS_MAX => {
                let places = i32::try_from(part.len()).unwrap_or(i32::MAX);
                Self::new(digits.parse().map_err(|_| "no number".to_owned())?, places)
            }
            _ => wrong("it has too many digits"),
        }
    }
}
