//! The ledger's names as the chaincode writes them. What is not of its form is refused here, before
//! it is asked for: the gateway and the chaincode see nothing but names that cannot be misread.

use sdpp_ledger::{Account, Asset, LedgerError, Result, TxId};

/// What stands before the unit in the name of an asset that is paid in IOUs.
const IOU: &str = "iou:";

/// What an asset is on this ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// Money that an organisation answers for, like `Org1MSP/USD`.
    Money(&'a str),
    /// Promises in this unit, an asset or any short code.
    Iou(&'a str),
}

/// What an asset is.
///
/// # Errors
/// `Malformed`.
pub(crate) fn kind(asset: &Asset) -> Result<Kind<'_>> {
    match asset.as_str().strip_prefix(IOU) {
        Some(unit) if is_unit(unit) => Ok(Kind::Iou(unit)),
        None if is_money(asset.as_str()) => Ok(Kind::Money(asset.as_str())),
        _ => Err(malformed("asset", asset.as_str(), "Org1MSP/USD, or iou: and a unit")),
    }
}

/// The asset of promises in a unit; `None` where it is no unit.
pub(crate) fn iou(unit: &str) -> Option<Asset> {
    if is_unit(unit) { format!("{IOU}{unit}").parse().ok() } else { None }
}

/// Whether it is an account: an organisation's MSP id, a colon, 64 lower-case hex digits.
pub(crate) fn is_account(text: &str) -> bool {
    let parts = text.split_once(':');
    parts.is_some_and(|(msp, digits)| is_msp(msp) && is_hash(digits))
}

/// Whether it is an MSP id.
pub(crate) fn is_msp(text: &str) -> bool {
    is_of(text, 40, b".-")
}

/// Whether it is what an IOU can be counted in.
pub(crate) fn is_unit(text: &str) -> bool {
    is_of(text, 65, b"./-")
}

/// Whether it is 32 bytes as lower-case hex, as transaction ids and hashes of blocks are.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_money(text: &str) -> bool {
    text.split_once('/').is_some_and(|(msp, code)| is_msp(msp) && is_of(code, 24, b".-"))
}

fn is_of(text: &str, length_max: usize, more: &[u8]) -> bool {
    let fits = (1..=length_max).contains(&text.len());
    fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
}

/// The organisation of an account, or of an asset that is money.
pub(crate) fn msp_of(name: &str) -> &str {
    name.split([':', '/']).next().unwrap_or_default()
}

/// An account, if it is one.
///
/// # Errors
/// `Malformed`.
pub(crate) fn account(account: &Account) -> Result<&str> {
    match is_account(account.as_str()) {
        true => Ok(account.as_str()),
        false => Err(malformed("account", account.as_str(), "Org1MSP:<64 hex digits>")),
    }
}

/// A transaction's id, if it is one. It has one spelling, so nothing is claimed twice by writing
/// it differently.
///
/// # Errors
/// `Malformed`.
pub(crate) fn tx(tx: &TxId) -> Result<&str> {
    match is_hash(tx.as_str()) {
        true => Ok(tx.as_str()),
        false => Err(malformed("transaction id", tx.as_str(), "64 lower-case hex digits")),
    }
}

fn malformed(what: &str, text: &str, form: &str) -> LedgerError {
    LedgerError::refused("Malformed", format!("{text} is no {what} here: {form}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(text: &str) -> Option<(bool, String)> {
        let asset: Asset = text.parse().unwrap();
        kind(&asset).ok().map(|kind| match kind {
            Kind::Money(name) => (true, name.to_owned()),
            Kind::Iou(unit) => (false, unit.to_owned()),
        })
    }

    #[test]
    fn an_asset_is_money_or_a_promise_in_a_unit() {
        assert_eq!(kind_of("Org1MSP/USD"), Some((true, "Org1MSP/USD".to_owned())));
        assert_eq!(kind_of("iou:Org1MSP/USD"), Some((false, "Org1MSP/USD".to_owned())));
        assert_eq!(kind_of("iou:hours"), Some((false, "hours".to_owned())));
        for bad in ["coin", "USD", "Org1MSP/", "/USD", "a/b/c", "iou:", "iou:iou:x", "IOU:x"] {
            assert_eq!(kind_of(bad), None, "{bad} was taken");
        }
        assert_eq!(iou("hours").unwrap().as_str(), "iou:hours");
        assert!(iou("a:b").is_none());
    }

    #[test]
    fn names_have_one_form() {
        let digits = "0123456789abcdef".repeat(4);
        assert!(is_account(&format!("Org1MSP:{digits}")) && is_hash(&digits));
        for bad in [&digits[1..], &digits.to_uppercase(), &format!("0x{}", &digits[2..])] {
            assert!(!is_hash(bad) && !is_account(&format!("Org1MSP:{bad}")), "{bad} was taken");
        }
        assert!(!is_account(&format!(":{digits}")) && !is_account(&format!("a b:{digits}")));
        assert_eq!(msp_of("Org1MSP:00"), "Org1MSP");
        assert_eq!(msp_of("Org1MSP/USD"), "Org1MSP");
    }
}
