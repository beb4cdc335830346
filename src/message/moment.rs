//! Times on the wire: RFC 3339, UTC, to the millisecond.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// A moment, in milliseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at =
            i64::try_from(self.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        match at {
            Some(at) => write!(f, "{at:.3}"),
            None => f.write_str("beyond the calendar"),
        }
    }
}

/// Why a text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time after 1970 like 2026-01-31T12:00:00.000Z")]
pub struct MomentError(String);

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let at = if text.ends_with('Z') { text.parse::<jiff::Timestamp>().ok() } else { None };
        at.and_then(|at| u64::try_from(at.as_millisecond()).ok())
            .map(Moment)
            .ok_or_else(|| MomentError(text.chars().take(40).collect()))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_and_read_in_utc() {
        assert_eq!(Moment(1_767_225_600_123).to_string(), "2026-01-01T00:00:00.123Z");
        assert_eq!("2026-01-01T00:00:00.123Z".parse(), Ok(Moment(1_767_225_600_123)));
        for bad in ["2026-01-01T00:00:00+00:00", "2026-01-01", "", "1969-12-31T00:00:00Z"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad} was taken");
        }
    }
}
