//! The network's names and ours: an account is `0x` and 64 lower-case hex digits, a transaction
//! its digest in base58.

use iota_sdk_types::{Address, Digest, ExecutionError, TransactionDigest};
use sdpp_ledger::{Account, Amount, LedgerError, Result, TxId};

/// A transaction's name.
pub(crate) fn tx(digest: &TransactionDigest) -> TxId {
    named(&digest.to_base58())
}

/// The digest that a transaction is named by.
///
/// # Errors
/// `Refused` with `Malformed` where it is not written as the network writes it.
pub(crate) fn digest(tx: &TxId) -> Result<TransactionDigest> {
    let malformed = || LedgerError::refused("Malformed", format!("{tx} is no digest in base58"));
    let digest = Digest::from_base58(tx.as_str()).map_err(|_| malformed())?;
    if digest.to_base58() != tx.as_str() {
        return Err(malformed());
    }
    Ok(digest.into())
}

/// An account's name.
pub(crate) fn account(address: &Address) -> Account {
    named(&address.to_hex())
}

/// The address that an account is named by.
///
/// # Errors
/// `Refused` with `Malformed` where it is not written as it is here.
pub(crate) fn address(account: &Account) -> Result<Address> {
    let why = || format!("{account} is no address: 0x and 64 lower-case hex digits");
    let malformed = || LedgerError::refused("Malformed", why());
    let address = Address::from_prefixed_hex(account.as_str()).map_err(|_| malformed())?;
    if address.to_hex() != account.as_str() {
        return Err(malformed());
    }
    Ok(address)
}

/// An amount in NANOS, of which there are fewer than 2^64.
pub(crate) fn nanos(amount: Amount) -> Option<u64> {
    u64::try_from(amount.units()).ok()
}

/// Why a transaction came to nothing: a short name for programs and a sentence.
pub(crate) fn failure(error: &ExecutionError) -> String {
    let code = match error {
        ExecutionError::InsufficientCoinBalance => "InsufficientFunds",
        ExecutionError::InsufficientGas => "OutOfGas",
        _ => "Failed",
    };
    // The words are the library's, but names within them are a stranger's.
    sdpp_ledger::clean(&format!("{code}: {error}"), std::iter::empty())
}

fn named<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    // Hex and base58 of 32 bytes are at most 66 visible ASCII characters.
    #[allow(clippy::expect_used)]
    text.parse().expect("hex and base58 are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_in_one_way_only() {
        let digest_text = "G4fiwXdG4bWKPcxPHnLXxfozSxoYEnFKxz5ZWiuAnBaZ";
        assert_eq!(tx(&digest(&named(digest_text)).unwrap()).as_str(), digest_text);
        for bad in ["not-a-digest", "1", "0OIl", &format!("1{digest_text}")] {
            assert!(digest(&named(bad)).is_err(), "{bad} was taken");
        }
        let hex = format!("0x{}", "0a".repeat(32));
        assert_eq!(account(&address(&named(&hex)).unwrap()).as_str(), hex);
        for bad in [&hex[2..], &hex[..64], "0x2", &hex.to_uppercase(), &hex.replace('a', "A")] {
            assert!(address(&named(bad)).is_err(), "{bad} was taken");
        }
    }
}
