//! The ledger's names and amounts as the chain writes them, and back. One spelling for each:
//! `0x` and lower-case hex, so that nothing can be claimed twice by writing it differently.

use ethers_core::types::{Address, H256, U256};
use sdpp_ledger::{Account, Amount, Asset, LedgerError, TxId};

/// The 20 bytes of an account.
///
/// # Errors
/// `Malformed` for any other spelling than `0x` and 40 lower-case hex digits.
pub(crate) fn address(account: &Account) -> Result<Address, LedgerError> {
    strict(account.as_str())
        .map(Address::from)
        .ok_or_else(|| malformed("account", account.as_str()))
}

/// The contract of an asset; address zero for the coin.
///
/// # Errors
/// `Malformed` for anything but `coin` and a token's address.
pub(crate) fn token(asset: &Asset) -> Result<Address, LedgerError> {
    if *asset == Asset::coin() {
        return Ok(Address::zero());
    }
    let bytes = strict(asset.as_str()).filter(|bytes| *bytes != [0; 20]);
    bytes.map(Address::from).ok_or_else(|| malformed("token", asset.as_str()))
}

/// The hash that a transaction id is.
///
/// # Errors
/// `Malformed` for any other spelling than `0x` and 64 lower-case hex digits.
pub(crate) fn hash(tx: &TxId) -> Result<H256, LedgerError> {
    strict(tx.as_str()).map(H256).ok_or_else(|| malformed("transaction id", tx.as_str()))
}

/// An account by its 20 bytes.
pub(crate) fn account(address: Address) -> Account {
    named(&format!("{address:?}"))
}

/// An asset by its contract.
pub(crate) fn asset(token: Address) -> Asset {
    if token.is_zero() { Asset::coin() } else { named(&format!("{token:?}")) }
}

/// A transaction id by its hash.
pub(crate) fn tx_id(hash: H256) -> TxId {
    named(&format!("{hash:?}"))
}

/// An amount, where it fits.
pub(crate) fn amount(word: U256) -> Option<Amount> {
    u128::try_from(word).ok().map(Amount::new)
}

/// An amount as the chain's word.
pub(crate) fn word(amount: Amount) -> U256 {
    U256::from(amount.units())
}

fn strict<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?;
    let mut bytes = [0; N];
    let is_lower = !digits.bytes().any(|b| b.is_ascii_uppercase());
    (is_lower && hex::decode_to_slice(digits, &mut bytes).is_ok()).then_some(bytes)
}

fn malformed(what: &str, text: &str) -> LedgerError {
    LedgerError::refused("Malformed", format!("{text} is no {what} here: 0x and lower-case hex"))
}

/// A name from hex that was just written.
fn named<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    // At most 66 characters, each visible ASCII.
    #[allow(clippy::expect_used)]
    text.parse().expect("hex is visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_one_spelling() {
        let lower = "0x00000000000000000000000000000000000000ff";
        assert_eq!(account(address(&named(lower)).unwrap()).as_str(), lower);
        assert_eq!(asset(token(&named(lower)).unwrap()).as_str(), lower);
        for bad in [&lower[2..], "0x00000000000000000000000000000000000000fF", "0xff", "coin"] {
            assert!(address(&named(bad)).is_err(), "{bad} was taken");
        }
        assert_eq!(asset(Address::zero()), Asset::coin());
        assert!(token(&named("0x0000000000000000000000000000000000000000")).is_err());
        assert!(hash(&named(&format!("0X{}", "a".repeat(64)))).is_err());
    }
}
